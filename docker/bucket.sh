#!/bin/sh
# Make a bucket, if it is not there, once the master answers.
# usage: docker/bucket.sh NAME MASTER
set -eu
ask() { echo "$1" | weed shell "-master=$master"; }
name=$1 master=$2
if ! ask s3.bucket.list | grep -qw -- "$name"; then
  ask "s3.bucket.create -name $name"
fi
