#!/bin/sh
# Installs what `cargo browser` needs, by name: Debian's Chromium and a font, Node, and npm packages under target/browser.
# What is there already needs nobody's rights and no network.
set -eu
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Package and one of its files.
packages="
    chromium:/usr/bin/chromium
    fonts-dejavu-core:/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
"
missing=
for package in $packages; do
    [ -e "${package#*:}" ] || missing="$missing ${package%%:*}"
done
# A Node of another origin does as well.
for program in nodejs:node npm:npm; do
    command -v "${program#*:}" >/dev/null || missing="$missing ${program%%:*}"
done
if [ -n "$missing" ]; then
    echo "installing Debian packages:$missing"
    as_root apt-get update
    # Words of the list are packages.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
fi

folder=target/browser
if ! cmp -s tests/browser/package-lock.json "$folder/installed"; then
    echo "installing npm packages into $folder: $(sed -n 's/^ *"\(.*-core\)": "\(.*[0-9]\)".*/\1 \2/p' tests/browser/package.json | paste -s -d, -)"
    mkdir -p "$folder"
    cp tests/browser/package.json tests/browser/package-lock.json "$folder/"
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp tests/browser/package-lock.json "$folder/installed"
fi
echo "what cargo browser needs is there: $(chromium --version 2>/dev/null), Node $(node --version)"
