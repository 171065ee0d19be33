#!/usr/bin/env bash
# Compares the public items of every published crate with the listings in this folder. After an intended change:
# tests/packages/public_items.sh --update, and a line in CHANGELOG.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

promised=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
used=$(rustc --version | cut -d' ' -f2)
case $used in
    "$promised" | "$promised".*) ;;
    *)
        echo "SKIPPED: rustdoc's JSON differs between versions; this needs Rust $promised, not $used"
        exit 0
        ;;
esac

# All at once, with the features of .ci/run's `cargo doc`, whose checked dependencies are used again.
RUSTDOC="$PWD/tests/packages/rustdoc" RUSTDOCFLAGS="-Zunstable-options --output-format json" \
    cargo doc --quiet --locked --workspace --lib --all-features --no-deps

status=0
for file in tests/packages/*.txt; do
    crate=$(basename "$file" .txt)
    listing=$(cargo run --quiet --locked -p ksdsl-package-tests -- "target/doc/${crate//-/_}.json")
    if [[ ${1-} == --update ]]; then
        printf '%s\n' "$listing" >"tests/packages/$crate.txt"
    elif ! diff -u --label "tests/packages/$crate.txt" --label "public items of $crate" \
        "tests/packages/$crate.txt" - <<<"$listing"; then
        status=1
    fi
done
if [[ $status != 0 ]]; then
    echo "Public items changed. If that is intended: tests/packages/public_items.sh --update, and a line in CHANGELOG.md" >&2
fi
exit $status
