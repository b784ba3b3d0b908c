#!/bin/sh
# A real Docker engine for `cargo engine`, from Debian's packages.
#
#   tests/engine.sh install        docker.io, docker-compose and what base images are made with; starts no daemon
#   tests/engine.sh serve FOLDER   dockerd with all that it has in FOLDER, until standard input closes; then the folder and what
#                                  it had set in the kernel are removed. Says "ready ADDRESS DRIVER OPTIONS" when it answers.
#   tests/engine.sh base NAME [WARM]   makes the base image NAME (rust:…, postgres:15 or haproxy:…), since none can be pulled: Debian's
#                                  minimal root with this machine's Rust and what cargo has downloaded, or with Debian's package.
#                                  WARM is a folder with what cargo has compiled before (target), to go on from.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install() {
    # Package and one of its programs.
    missing=
    for package in docker.io:/usr/sbin/dockerd docker-compose:/usr/bin/docker-compose iptables:/usr/sbin/iptables \
        debootstrap:/usr/sbin/debootstrap systemd:/usr/bin/systemd-analyze; do
        [ -e "${package#*:}" ] || missing="$missing ${package%%:*}"
    done
    [ -n "$missing" ] || return 0
    # Debian asks this file whether an installation may start daemons. We start ours by hand.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    as_root apt-get update
    # Words of the list are packages.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
}

# Tries to start it so; whether it answers.
try() {
    # shellcheck disable=SC2086 # options, one a word
    dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
        --host "unix://$folder/docker.sock" $1 >>"$folder/log" 2>&1 </dev/null &
    dockerd=$!
    tries=0
    while kill -0 "$dockerd" 2>/dev/null; do
        if docker --host "unix://$folder/docker.sock" info >/dev/null 2>&1; then return 0; fi
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || break
        sleep 0.5
    done
    kill "$dockerd" 2>/dev/null || true
    wait "$dockerd" 2>/dev/null || true
    return 1
}

serve() {
    folder=$1
    [ "$(id -u)" = 0 ] || { echo 'a daemon of docker needs root' >&2; exit 1; }
    mkdir -p "$folder"
    had_bridge=$(ls -d /sys/class/net/docker0 2>/dev/null) || had_bridge=
    had_forward=$(cat /proc/sys/net/ipv4/ip_forward)
    # A table that nobody has asked for yet is not among what is saved.
    if iptables --table filter --list-rules >/dev/null 2>&1 && iptables --table nat --list-rules >/dev/null 2>&1; then
        iptables-save >"$folder/iptables"
    fi
    for options in '--storage-driver overlay2' '--storage-driver overlay2 --iptables=false' '--storage-driver vfs --iptables=false' \
        '--storage-driver vfs --iptables=false --bridge=none'; do
        if try "$options"; then
            echo "ready unix://$folder/docker.sock $options"
            cat >/dev/null
            break
        fi
        options=
    done
    [ -n "$options" ] || { echo 'no daemon can be started here; its last words:' >&2; tail -n 5 "$folder/log" >&2; }
    kill "$dockerd" 2>/dev/null || true
    wait "$dockerd" 2>/dev/null || true
    end_builds
    awk -v folder="$folder" 'index($2, folder "/") == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
        umount --lazy "$mount" || true
    done
    [ -n "$had_bridge" ] || ip link delete docker0 2>/dev/null || true
    [ ! -s "$folder/iptables" ] || iptables-restore <"$folder/iptables" || true
    echo "$had_forward" >/proc/sys/net/ipv4/ip_forward
    rm -rf "$folder"
    [ -n "$options" ]
}

# A daemon that is stopped while it builds leaves the step that runs to itself: whatever has its root in the folder.
end_builds() {
    for process in /proc/[0-9]*; do
        if awk -v folder="$folder/" '$5 == "/" && index($0, folder) { found = 1 } END { exit !found }' "$process/mountinfo" 2>/dev/null; then
            kill -KILL "${process#/proc/}" 2>/dev/null || true
        fi
    done
}

# Debian's minimal root, with these packages.
root_with() {
    debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; exit 1; }
    chroot "$root" apt-get install --yes --no-install-recommends "$@" >>"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; exit 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb
}

base() {
    root=$(mktemp -d "${TMPDIR:-/tmp}/storepulse-base.XXXXXX")
    trap 'rm -rf "$root" "$root.log"' EXIT
    trap 'exit 143' INT TERM
    case $1 in
        rust:*)
            root_with gcc libc6-dev ca-certificates make pkg-config
            toolchain=$(rustc --print sysroot)
            cargo_home=${CARGO_HOME:-$HOME/.cargo}
            # Cargo asks whether a path is the one that it has compiled before, so the paths stay.
            mkdir -p "$root$toolchain" "$root$cargo_home" "$root/target"
            for part in bin lib libexec etc; do
                [ ! -e "$toolchain/$part" ] || cp -a "$toolchain/$part" "$root$toolchain/"
            done
            cp -a "$cargo_home/registry" "$root$cargo_home/"
            [ -z "${2:-}" ] || cp -a "$2/." "$root/target/"
            tar -C "$root" -c . | docker import --change "ENV PATH=$toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin \
CARGO_HOME=$cargo_home CARGO_NET_OFFLINE=true CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-2}" - "$1" >/dev/null
            ;;
        postgres:15)
            root_with postgresql-15
            rm -rf "$root/var/lib/postgresql/15"
            mkdir -p "$root/var/lib/postgresql/data"
            chroot "$root" chown postgres:postgres /var/lib/postgresql/data
            install_entrypoint
            tar -C "$root" -c . | docker import \
                --change 'ENV PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data' \
                --change 'VOLUME /var/lib/postgresql/data' --change 'EXPOSE 5432' \
                --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["postgres"]' - "$1" >/dev/null
            ;;
        haproxy:*)
            root_with haproxy
            tar -C "$root" -c . | docker import --change 'USER haproxy' \
                --change 'ENTRYPOINT ["haproxy", "-W", "-db"]' \
                --change 'CMD ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]' - "$1" >/dev/null
            ;;
        *) echo "engine.sh: it is not known how to make $1" >&2; exit 64 ;;
    esac
}

install_entrypoint() {
    cp "$here/engine/postgres-entrypoint.sh" "$root/usr/bin/docker-entrypoint.sh"
    chmod 755 "$root/usr/bin/docker-entrypoint.sh"
}

case ${1:-} in
    install) install ;;
    serve) serve "$2" ;;
    base) base "$2" "${3:-}" ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '/^set/d' >&2; exit 64 ;;
esac
