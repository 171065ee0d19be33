#!/usr/bin/env bash
# Fuzzes every parser of untrusted input, the exporters and `ksn quantize`, each target for SECONDS.
#
# usage: tests/fuzz/run.sh SECONDS [TARGET...]
#
# cargo install cargo-fuzz first. The toolchain is the stable one, as dfdx (of `records`) does not build on nightly:
# RUSTC_BOOTSTRAP allows the flags of the sanitizer, as in tests/sanitize.sh. Findings are in tests/fuzz/artifacts;
# inputs of fixed bugs become tests of the crate. Inputs that reach new code are kept in tests/fuzz/corpus, which
# git ignores; the seeds are in the repository.
set -euo pipefail
cd "$(dirname "$0")"

seconds="${1:?usage: tests/fuzz/run.sh SECONDS [TARGET...]}"
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(specification checkpoint exporters quantize audit records archive picture)

export RUSTC_BOOTSTRAP=1
root=../..

seeds() {
    case "$1" in
        specification | exporters) echo "$root/examples/nets $root/tests/nets $root/tests/cases" ;;
        audit) echo "seeds/audit seeds/checkpoint" ;;
        picture) echo "$root/ksdsl-runtime/train/tests/pictures" ;;
        *) echo "seeds/$1" ;;
    esac
}

for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    [ "$target" = records ] && features="--features records" || features=""
    # shellcheck disable=SC2046,SC2086 # lists of words without spaces
    cargo fuzz run --fuzz-dir . --target x86_64-unknown-linux-gnu $features "$target" "corpus/$target" $(seeds "$target") -- \
        -max_total_time="$seconds" -timeout=120 -rss_limit_mb=1536 -max_len=32768 -print_final_stats=1
done
