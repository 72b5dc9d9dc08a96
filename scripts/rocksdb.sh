#!/usr/bin/env bash
# Prints the folder that holds librocksdb.a, building it there first if need be (10 to 18 minutes, once).
#
# RocksDB is 342 C++ files. Its build script takes a finished archive instead when ROCKSDB_LIB_DIR and
# ROCKSDB_STATIC are set; this keeps one outside the clone, so that every clone and CI share it. The key is
# the crate's version: another version is another archive. Nothing depends on the cache: without those two
# variables `cargo build` compiles RocksDB itself.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${ROOMKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roomkeeper}
version=$(awk '/^name = "librocksdb-sys"$/ { getline; gsub(/version = |"/, ""); print; exit }' Cargo.lock)
[ -n "$version" ] || { echo "Cargo.lock names no librocksdb-sys; run 'cargo generate-lockfile' first" >&2; exit 1; }
dir=$cache/librocksdb-$version-$(uname -m)

mkdir -p "$dir"
exec 9>"$dir/.lock"
flock 9
if [ ! -s "$dir/librocksdb.a" ]; then
    echo "Building RocksDB $version once, into $dir (10 to 18 minutes on two cores) …" >&2
    build=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC CARGO_TARGET_DIR="$build" \
        cargo build --locked --release -p rocksdb >&2
    archive=$(find "$build" -name librocksdb.a | head -1)
    cp "$archive" "$dir/librocksdb.a.tmp"
    mv "$dir/librocksdb.a.tmp" "$dir/librocksdb.a"
fi
echo "$dir"
