#!/usr/bin/env bash
# Prints the folder of a Python environment with what the documents' tests speak to a server with, making it there
# first if need be: `websockets` and `schemathesis` from PyPI. The key is the versions.
set -euo pipefail
cache=${ROOMKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roomkeeper}
packages=(websockets==17.4 schemathesis==4.32.5)
dir=$cache/python-$(printf '%s-' "${packages[@]}" | tr -d '=' | sed 's/-$//')
mkdir -p "$cache"
exec 9>"$cache/.python.lock"
flock 9
if [ ! -e "$dir/.complete" ]; then
    rm -rf "$dir"
    python3 -m venv "$dir" >&2
    "$dir/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
    touch "$dir/.complete"
fi
echo "$dir"
