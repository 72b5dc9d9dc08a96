#!/usr/bin/env bash
# cargo with the shared build cache: RocksDB built once, and one target folder for every clone of this user.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
cache=${ROOMKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roomkeeper}
ROCKSDB_LIB_DIR=$(scripts/rocksdb.sh)
export ROCKSDB_LIB_DIR ROCKSDB_STATIC=1 CARGO_TARGET_DIR="$cache/target"
exec cargo "$@"
