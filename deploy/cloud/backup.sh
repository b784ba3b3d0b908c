#!/bin/sh
# A base backup of the whole database into ./backup (or $STOREPULSE_BACKUP), beside the WAL that PostgreSQL archives there all the
# time; and, if asked for, one file for every tenant into ./out.
#
#   ./backup.sh                 a base backup; the newest 3 stay (STOREPULSE_KEEP), and the WAL that they need
#   ./backup.sh tenants         besides, out/<tenant>-<day>.archive for every tenant
#
# Call it once a day, and copy ./backup and ./private to another machine, each minute if you can: what has not left the house burns
# with it. ./private holds the passwords; no backup of the database does.

set -eu
cd "$(dirname "$0")"
. ./compose.sh
keep=${STOREPULSE_KEEP:-3}

fail() {
    printf 'backup.sh: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
    exit 1
}
in_db() { compose exec -T -u postgres db /bin/sh /storepulse/pg.sh "$@"; }

begun=$(date +%s)
name=$(in_db base) || fail 'no base backup was made' 'see the message above; does the database run (docker compose ps db)? is the disk full (df ./backup)?'
name=$(printf '%s' "$name" | tail -n 1 | tr -d '\r')
in_db expire "$keep" || fail "the base backup $name is whole, but older ones could not be removed" 'see the message above'
printf 'base backup %s, in %s s; there are: %s\n' "$name" "$(($(date +%s) - begun))" "$(in_db list | tr '\r\n' '  ')"

in_db archiving || fail 'the WAL is not archived: what came after this base backup is in no backup' \
    'docker compose logs db says why (archive_command); is the disk of ./backup full, or not writable for PostgreSQL?'

[ "${1:-}" = tenants ] || exit 0
day=$(date -u +%Y%m%d)
listed=$(compose run --rm --no-deps -T cli tenant list </dev/null) || fail 'the tenants cannot be listed' 'see the message above'
failed=
for tenant in $(printf '%s\n' "$listed" | sed -n 's/.*"tenant_id":"\([a-z0-9-]*\)".*/\1/p'); do
    file="out/$tenant-$day.archive"
    [ ! -e "$file" ] || { printf '%s is there already\n' "$file"; continue; }
    compose run --rm --no-deps -T cli export --tenant "$tenant" "/$file" </dev/null || failed="$failed $tenant"
done
[ -z "$failed" ] || fail "not exported:$failed" 'see the messages above'
