#!/bin/sh
# Puts a base backup in the place of the database and replays the archived WAL. The database that is there is put aside, not deleted.
#
#   ./restore.sh                                     the newest base backup, up to the last WAL that was archived
#   ./restore.sh 20261122T210000Z                    that one
#   ./restore.sh 20261122T210000Z '2026-11-22 21:30:00+00'    and no further than this moment
#
# On a new machine: ./prepare.sh, put ./private and ./backup of the old one in their places, then this. Agents notice by themselves
# that the cloud has forgotten something, and send it again from what they have kept (7 days, at most half of the spool).
# What no agent has does not come back: stores, keys and people that were made after the backup. An agent whose key was changed
# since then is refused and holds its samples; give it a new key (README.md).

set -eu
cd "$(dirname "$0")"
. ./compose.sh

say() { printf '%s\n' "$*"; }
fail() {
    printf 'restore.sh: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
    exit 1
}
[ -e .env ] || fail '.env is missing' 'run ./prepare.sh first'

pg() { compose run --rm --no-deps -T --entrypoint /bin/sh -u postgres db /storepulse/pg.sh "$@" </dev/null; }

compose run --rm --no-deps -T backup-folder </dev/null || fail 'the folder of the backups cannot be used' 'see the message above'
name=${1:-$(pg list | tail -n 1 | tr -d '\r')}
until=${2:-latest}
[ -n "$name" ] || fail 'there is no base backup in ./backup/base' 'bring one here, with ./backup/wal'
begun=$(date +%s)

say "restoring $name, up to $until"
compose stop cloud-1 cloud-2 db
pg restore "$name" /var/lib/postgresql/data/pgdata "$until" ||
    fail 'nothing was restored' 'see the message above; the database is as it was: docker compose up -d starts it'
compose up -d db
say '  replaying the WAL'
waited=0
until [ "$(docker inspect --format '{{.State.Health.Status}}' "$(compose ps -q db)")" = healthy ]; do
    [ "$waited" -lt "${STOREPULSE_WAIT:-3600}" ] || fail "the database is not ready after $waited s" 'docker compose logs db says why'
    sleep 2
    waited=$((waited + 2))
done
compose up -d || fail 'the service does not start' 'see the message above'
say "restored in $(($(date +%s) - begun)) s. docker compose run --rm cli verify compares all with itself, and says what agents still bring."
say 'The database from before is in the volume, as pgdata.replaced-…: delete it when you are sure.'
