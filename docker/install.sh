#!/bin/sh
# Install the server into a virtual environment of its own, at the versions that were tested.
# usage: docker/install.sh TARGET
set -eu
target=$1
cd "$(dirname "$0")/.."
python3 -m venv "$target"
"$target/bin/python" -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt ".[server]"
