#!/usr/bin/env bash
# Installs what the build needs beyond a Rust toolchain: a C and C++ compiler, libclang for RocksDB's bindings
# and the mold linker, and Python for the tests of the documents; for root also what chaos-tests cuts networks and disks with. Does nothing where they are
# there.
set -euo pipefail

need=()
command -v g++ >/dev/null || need+=(g++)
command -v mold >/dev/null || need+=(mold)
command -v curl >/dev/null || need+=(curl)
# The documents' tests speak Python: the module that makes environments comes apart from it.
python3 -c 'import ensurepip, venv' 2>/dev/null || need+=(python3-venv)
compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || need+=(libclang-dev)
if [ "$(id -u)" = 0 ]; then
    # Without root these faults are skipped, and said to be.
    command -v ip >/dev/null || need+=(iproute2)
    command -v nft >/dev/null || need+=(nftables)
    command -v mkfs.ext4 >/dev/null || need+=(e2fsprogs)
    command -v strace >/dev/null || need+=(strace)
fi
if [ ${#need[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "Please install: ${need[*]}" >&2; exit 1; }
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    echo "Installing ${need[*]} …" >&2
    $sudo apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${need[@]}" >&2
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
command -v cargo >/dev/null || { echo "Please install Rust $wanted or newer: https://rustup.rs" >&2; exit 1; }
have=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -1)" = "$wanted" ] ||
    { echo "Rust $have is too old, please install $wanted or newer: rustup update" >&2; exit 1; }
