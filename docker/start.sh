#!/bin/sh
# Run `latentcrdt`, as this process, so that SIGTERM reaches it and the server drains.
# usage: docker/start.sh [serve | token new NAME | ...]
# A secret is a file of the variable's name; nothing of it is in the image, or in `docker inspect`.
set -eu
for name in LATENTCRDT_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
  file=${SECRETS_DIR:-/run/secrets}/$name
  if [ -f "$file" ]; then
    value=$(cat "$file")
    export "$name=$value"
  fi
done
exec latentcrdt "$@"
