#!/bin/sh
# Make a bucket, if it is not there, once the master and a filer answer.
# usage: docker/bucket.sh NAME MASTER
set -eu
name=$1 master=$2
ask() { echo "$1" | weed shell "-master=$master"; }
until buckets=$(ask s3.bucket.list); do
  sleep 1
done
if ! echo "$buckets" | grep -qw -- "$name"; then
  ask "s3.bucket.create -name $name"
fi
