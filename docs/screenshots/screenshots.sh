#!/usr/bin/env bash
# Takes the screenshots of the book: the extension in VS Code (code-server), reports of a training, and a picture in dark.
#
#     docs/screenshots/screenshots.sh [KSN]
#
# KSN is the command `ksn`; without it, it is built. Needs Node.js 20 with its headers, npm, a C++ compiler, and Chromium
# (CHROMIUM, or /usr/bin/chromium); on Debian: apt-get install chromium nodejs npm g++ make. Pictures are made of pixels of the
# machine's fonts, so they differ between machines, and no test compares them.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
pictures=$root/docs/book/src/pictures
work=$(mktemp -d)
port=${PORT:-8931}
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

if [[ $# -gt 0 ]]; then
    ksn=$(realpath "$1")
else
    cargo build --release --locked --manifest-path "$root/Cargo.toml" -p ksdsl --bin ksn
    ksn=${CARGO_TARGET_DIR:-$root/target}/release/ksn
fi

# What is shown: a specification, its training, and a picture.
mkdir "$work/digits"
cp "$here/digits.ksn" "$work/digits"
(cd "$work" && "$ksn" train digits/digits.ksn --out run >/dev/null)
"$ksn" diagram "$root/examples/nets/se_resnet.ksn" --set depth=2 -o "$work/diagram.svg"
cp "$work"/run/*/curves.svg "$work"/run/*/confusion.svg "$work"

# VS Code. Of its native modules only one is needed, and it is compiled here.
tools=${SCREENSHOT_TOOLS:-$work/tools}
if [[ ! -d $tools/node_modules ]]; then
    mkdir -p "$tools"
    cp "$here/package.json" "$tools"
    export npm_config_nodedir=${npm_config_nodedir:-/usr}
    (cd "$tools" && npm install --ignore-scripts --no-audit --no-fund)
    (cd "$tools/node_modules/argon2" && npx node-pre-gyp rebuild --build-from-source --nodedir="$npm_config_nodedir")
    cd "$tools/node_modules/code-server/lib/vscode"
    npm install --ignore-scripts --omit=dev --no-audit --no-fund
    cd "$root"
fi
cp "$here/screenshots.mjs" "$tools"

# The extension as it is installed, with its one dependency.
mkdir -p "$work/extensions" "$work/user/User" "$work/user/Machine"
cp -r "$root/grammars/vscode" "$work/extensions/ksdsl.ksdsl-0.1.0"
(cd "$work/extensions/ksdsl.ksdsl-0.1.0" && npm install --omit=dev --no-audit --no-fund)
cp "$here/settings.json" "$work/user/User"
printf '{ "ksn.path": "%s" }\n' "$ksn" >"$work/user/Machine/settings.json"

node "$tools/node_modules/code-server/out/node/entry.js" --bind-addr "127.0.0.1:$port" --auth none \
    --config "$work/config.yaml" --disable-telemetry --disable-update-check \
    --user-data-dir "$work/user" --extensions-dir "$work/extensions" >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 60); do
    curl --silent --output /dev/null "http://127.0.0.1:$port/" && break
    sleep 1
done

node "$tools/screenshots.mjs" "http://127.0.0.1:$port" "$work" "$pictures"
