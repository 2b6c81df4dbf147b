#!/usr/bin/env bash
# Optional: builds bwa-mem3 into .tools/bin, for LSDATA_ALIGNER=bwa-mem3 (docs/decisions/0011-bwa-mem3.md).
# Needs cargo 1.70 or newer to fetch the sources; takes a few minutes, and a second run nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1mbwa-mem3:\033[0m %s\n' "$*"; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

stamp=$(cat setup/bwa-mem3.sh setup/bwa-mem3/Cargo.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat .tools/bwa-mem3.stamp 2>/dev/null)" = "$stamp" ]; then say "ready"; exit; fi
command -v cargo >/dev/null || { say "cargo is missing: install Rust (rustup.rs)"; exit 1; }
printf '#include <%s>\n' htslib/sam.h libdeflate.h numa.h zlib.h | g++ -E -x c++ - >/dev/null 2>&1 && command -v cmake >/dev/null || {
  say "installing libraries to build with"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    g++ make cmake libhts-dev libdeflate-dev libnuma-dev zlib1g-dev >/dev/null
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "fetching the sources"
cp setup/bwa-mem3/Cargo.toml "$work/"
(cd "$work" && cargo vendor --quiet vendor >/dev/null)
cp -r "$work/vendor/bwa-mem3-sys/vendor/bwa-mem3" "$work/src"
cd "$work/src"
# The crate leaves the submodules of bwa-mem3 out: they come from crates of their own, and from Debian.
mkdir -p ext/htslib scripts
ln -s "$(g++ -print-file-name=libhts.so)" ext/htslib/libhts.so
touch ext/htslib/libhts.a
ln -s "$work/vendor/libsais-sys/libsais" ext/libsais
cp -r "$work/vendor/libz-ng-sys/src/zlib-ng" ext/zlib-ng
printf '#!/bin/sh\ncat version.txt\n' > scripts/version.sh && chmod +x scripts/version.sh

say "building"
# Its makefile wants gcc 15; with Debian's gcc 12 the records are the same (tests/genomics/test_alternatives.py).
make single USE_MIMALLOC=0 STATIC_GCC= ALLOW_UNSUPPORTED_COMPILER=1 CXX=g++ -j"$(nproc)" > build.log 2>&1 || { tail -20 build.log; exit 1; }
./bwa-mem3 version | head -1
cd - >/dev/null
mkdir -p .tools/bin
install -m 755 "$work/src/bwa-mem3" .tools/bin/bwa-mem3
echo "$stamp" > .tools/bwa-mem3.stamp
say "ready"
