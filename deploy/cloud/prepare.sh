#!/bin/sh
# Makes what docker-compose.yml needs and is not there yet: secrets, folders, .env. Run it again whenever you like: nothing that
# exists is changed.
#
#   ./prepare.sh                                    a certificate of yours goes to private/tls/server.pem and server.key
#   ./prepare.sh --self-signed cloud.lan,10.0.0.5   or an authority of our own makes one for these names and addresses

set -eu
umask 077

say() { printf '%s\n' "$*"; }
fail() {
    printf 'prepare.sh: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
    exit 1
}

names=
case "${1:-}" in
    '') ;;
    --self-signed)
        names=${2:-}
        [ -n "$names" ] || fail '--self-signed needs the names that agents use' './prepare.sh --self-signed cloud.lan,10.0.0.5'
        ;;
    *) fail "$1 is not understood" 'the beginning of this file says what is' ;;
esac
cd "$(dirname "$0")"

# Inside the containers the service is nobody in particular, and never root.
uid=$(id -u) gid=$(id -g)
[ "$uid" -ne 0 ] || { uid=65532 gid=65532; }

# A folder of before has a project of its own name, and its volume with it; only what begins here gets a name that stays, whatever
# the folder is called.
fresh=
[ -e private/admin.password ] || fresh=yes
mkdir -p private backup out
chmod 0700 private
mkdir -p private/tls private/proxy
chmod 0755 private/tls private/proxy
[ "$(id -u)" -ne 0 ] || chown "$uid:$gid" out private/tls

for secret in admin app control; do
    file=private/$secret.password
    [ ! -s "$file" ] || continue
    # Letters and digits: nothing that an URL or a shell would read otherwise.
    LC_ALL=C tr -dc 'a-z0-9' </dev/urandom | head -c 32 >"$file.new"
    [ "$(wc -c <"$file.new")" -eq 32 ] || fail "$file could not be made" 'is the disk full?'
    chmod 0444 "$file.new"
    mv "$file.new" "$file"
    say "made $file"
done

if [ ! -e service.env ]; then
    cat >service.env <<'END'
# What both instances are told beside docker-compose.yml; `storepulse-cloud serve --help` lists all of it.
# STOREPULSE_BASE_DOMAIN=pulse.example.com
# STOREPULSE_PUBLIC_URL=https://pulse.example.com
END
    say 'made service.env'
fi
# What is there stays.
line() { grep -q "^$1=" .env 2>/dev/null || { printf '%s=%s\n' "$1" "$2" >>.env; say "$1 in .env"; }; }
[ -z "$fresh" ] || line COMPOSE_PROJECT_NAME "${COMPOSE_PROJECT_NAME:-storepulse-cloud}"
line STOREPULSE_UID "$uid"
line STOREPULSE_GID "$gid"
[ -z "${STOREPULSE_CLOUD_IMAGE:-}" ] || line STOREPULSE_CLOUD_IMAGE "$STOREPULSE_CLOUD_IMAGE"
if [ -n "$names" ]; then
    all="$names,localhost,127.0.0.1,cloud-1,cloud-2"
    line STOREPULSE_TLS_NAMES "$all"
    grep -qxF "STOREPULSE_TLS_NAMES=$all" .env ||
        fail "the certificate is for other names: $(sed -n 's/^STOREPULSE_TLS_NAMES=//p' .env)" \
            "change STOREPULSE_TLS_NAMES in .env to $all, then run this again; agents that know an old name need it to stay"
    . ./compose.sh
    compose run --rm --no-deps certificate || fail 'no certificate was made' 'see the message above'
fi
if [ ! -s private/tls/server.pem ] || [ ! -s private/tls/server.key ]; then
    say 'Still missing: private/tls/server.pem (chain) and private/tls/server.key, readable for user '"$uid"'.'
    say './prepare.sh --self-signed NAMES makes them.'
    exit 0
fi
say 'All is there: docker compose up -d (or docker-compose up -d)'
