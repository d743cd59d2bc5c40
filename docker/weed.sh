#!/bin/sh
# Run `weed`; its S3 gateway knows one identity, that of the secrets, and refuses everyone else.
# usage: docker/weed.sh master|volume|filer|s3 OPTION...
set -eu
if [ "$1" = s3 ]; then
  secrets=${SECRETS_DIR:-/run/secrets}
  config=$(mktemp)
  cat >"$config" <<END
{"identities": [{
  "name": "latentcrdt",
  "credentials": [{"accessKey": "$(cat "$secrets/AWS_ACCESS_KEY_ID")",
                   "secretKey": "$(cat "$secrets/AWS_SECRET_ACCESS_KEY")"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]
}]}
END
  set -- "$@" "-config=$config"
fi
exec weed "$@"
