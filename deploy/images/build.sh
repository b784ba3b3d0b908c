#!/bin/sh
# The build stage of both images: compiles one program and lays out the whole root of its image in a folder.
#
#   build.sh agent|cloud VERSION ROOT
#
# TARGETARCH (amd64, arm64) is set by BuildKit. Where it is not the machine's own, the program is compiled for it here, with
# Debian's cross compiler, instead of being compiled slowly under an emulator.

set -eu

program=$1
version=$2
root=$3
# Who the program runs as in its image; both compose files say the same number.
user=65532

case $program in
    agent) profile=agent ;;
    cloud) profile=release ;;
    *) echo "build.sh: $program is neither agent nor cloud" >&2; exit 64 ;;
esac
of_workspace=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
[ "$version" = "$of_workspace" ] || {
    echo "build.sh: asked for version $version, but Cargo.toml says $of_workspace: --build-arg VERSION=$of_workspace" >&2
    exit 64
}

machine=$(uname -m)
case ${TARGETARCH:-} in
    '') arch=$machine ;;
    amd64) arch=x86_64 ;;
    arm64) arch=aarch64 ;;
    *) echo "build.sh: there is no way for $TARGETARCH, only amd64 and arm64" >&2; exit 64 ;;
esac

set -- --locked --profile "$profile" --package "storepulse-$program"
target_dir=${CARGO_TARGET_DIR:-target}
if [ "$arch" = "$machine" ]; then
    libraries="/lib/$arch-linux-gnu /usr/lib/$arch-linux-gnu"
    built=$target_dir/$profile/storepulse-$program
else
    target=$arch-unknown-linux-gnu
    tools=$arch-linux-gnu
    libraries="/usr/$tools/lib"
    built=$target_dir/$target/$profile/storepulse-$program
    rustup target list --installed | grep -qx "$target" || rustup target add "$target"
    if ! command -v "$tools-gcc" >/dev/null; then
        name=$(echo "$arch" | tr _ -)
        debian=$([ "$arch" = aarch64 ] && echo arm64 || echo amd64)
        apt-get update
        apt-get install --yes --no-install-recommends "gcc-$name-linux-gnu" "libc6-dev-$debian-cross"
    fi
    in_names=$(echo "$target" | tr - _)
    export "CC_$in_names=$tools-gcc" "AR_$in_names=$tools-ar"
    export "CARGO_TARGET_$(echo "$in_names" | tr '[:lower:]' '[:upper:]')_LINKER=$tools-gcc"
    set -- "$@" --target "$target"
fi
cargo build "$@"

mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs"
cp "$built" "$root/usr/local/bin/storepulse-$program"
# shellcheck disable=SC2086 # folders, one a word
"$(dirname "$0")/closure.sh" "$root/usr/local/bin/storepulse-$program" "$root" $libraries
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
printf 'storepulse:x:%s:%s::/:/none\n' "$user" "$user" >"$root/etc/passwd"
printf 'storepulse:x:%s:\n' "$user" >"$root/etc/group"
# Without it the C library would ask the name servers before it has looked into /etc/hosts.
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
# What a compose file may mount something on; a volume that is new gets owner and mode from here. In the agent's volume others may
# make files, since a box may run it as whoever owns the package; it lies where only root comes to.
if [ "$program" = agent ]; then
    mkdir -p "$root/storepulse/spool"
    chown "$user:$user" "$root/storepulse/spool"
    chmod 1777 "$root/storepulse/spool"
fi
find "$root" -type f -exec ls -l {} +
