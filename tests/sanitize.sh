#!/usr/bin/env bash
# The kernel tests under AddressSanitizer, at every level this machine has. Buffers are allocations of
# their own (`ksdsl_exact_buffers`), so that out-of-bounds accesses are detected; the space between
# allocations is wider than a vector, or a vector access could reach into the next allocation.
#
# usage: tests/sanitize.sh [test arguments]
#
# The sanitizer's runtime is part of the stable toolchain on x86-64 Linux; only the flag is not stable, so
# RUSTC_BOOTSTRAP allows it for this build. Miri is not part of the stable toolchain. Optimisation is reduced, and
# incremental compilation is off, because instrumented code takes minutes to compile.
set -euo pipefail
cd "$(dirname "$0")/.."

export RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0
export RUSTFLAGS="-Zsanitizer=address --cfg ksdsl_exact_buffers"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0:redzone=256}"
exec cargo test --locked -p ksdsl-cpu --lib --test kernels --target x86_64-unknown-linux-gnu \
    --target-dir target/asan --config 'profile.dev.package.ksdsl-cpu.opt-level=1' \
    --config 'profile.dev.lto="off"' -- "$@"
