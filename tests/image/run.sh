#!/bin/bash
# Builds the image and checks it while it runs, as root on Debian: run.sh [SOURCE]
#
# Everything that is started lives in a network of its own, which has loopback and nothing else.
set -euo pipefail

cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD
python=${PYTHON:-.venv/bin/python}
tag=segment-bridge:test

tests/image/build.sh "${1:-.}" "$tag"
exec unshare --net bash -c 'ip link set lo up && exec "$@"' checks \
    "$python" -m tests.image.check_image "localhost/$tag"
