#!/usr/bin/env bash
# Runs both commands of README.md, and a crate of `ksn new`, as on a machine that has seen nothing of this project: a clone in an empty folder,
# an empty CARGO_HOME, an empty target folder. Prints how long each part takes.
#
#   tests/fresh_machine.sh            everything
#   tests/fresh_machine.sh --clone    the clone and the download of the crates only
#
# Needs git, a C linker, about 10 GB of disk, and the crates' registry. The commit that is checked out is tested; what is not
# committed is not. The toolchain's own settings stay: rustup's home, and the registry and network settings of the
# present CARGO_HOME (`config.toml`), for machines behind a mirror or a proxy.
set -euo pipefail

case ${1-} in
    "" | --clone) ;;
    *)
        echo "usage: $0 [--clone]" >&2
        exit 2
        ;;
esac

repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/ksdsl-fresh.XXXXXX")
trap 'rm -rf "$folder"' EXIT

export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
settings=${CARGO_HOME:-$HOME/.cargo}
export CARGO_HOME=$folder/cargo
mkdir "$CARGO_HOME"
for name in config.toml config; do
    if [[ -f $settings/$name ]]; then
        cp "$settings/$name" "$CARGO_HOME/"
    fi
done
# Nothing that the caller has set may help or hinder.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_INCREMENTAL CARGO_ENCODED_RUSTFLAGS RUSTFLAGS RUSTDOCFLAGS RUSTC_WRAPPER

report=()
# Runs a command and notes its time.
timed() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@"
    report+=("$(printf '%-36s %5d s' "$name" $((SECONDS - start)))")
}

# As `timed`, for a command that README.md shows; it must be there word for word.
shown() {
    if ! grep -qxF -- "${*:2}" README.md; then
        echo "README.md does not show the command: ${*:2}" >&2
        exit 1
    fi
    timed "$@"
}

timed "clone" git clone --quiet --no-hardlinks "$repository" "$folder/ksdsl"
cd "$folder/ksdsl"
timed "download of the crates" cargo fetch --locked --target "$(rustc -vV | sed -n 's/^host: //p')"
if [[ ${1-} != --clone ]]; then
    shown "first command: build and training" cargo run --release -p ksdsl-examples -- train
    shown "second command: all tests" bash .ci/run
    timed "ksn" cargo install --quiet --locked --path ksdsl --root "$folder/installed"
    cd "$folder"
    timed "a crate of a new user" installed/bin/ksn new my-net
    cd my-net
    timed "its tests" cargo test --quiet
    timed "its training" cargo run --quiet --release
    timed "the same without compiling" ../installed/bin/ksn train networks/my_net.ksn
    cmp runs/my_net/model.safetensors runs/digits-my_net-0/model.safetensors
    cd "$folder/ksdsl"
fi

printf '\nFresh machine: commit %s, %s, %s cores\n' \
    "$(git rev-parse --short HEAD)" "$(rustc --version)" "$(getconf _NPROCESSORS_ONLN)"
printf '%s\n' "${report[@]}"
