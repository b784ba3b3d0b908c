#!/bin/sh
# What is done where PostgreSQL's programs are: in the container of the database, or on a machine with a server of its own.
# backup.sh and restore.sh call it; PostgreSQL itself calls archive and fetch.
#
#   pg.sh folders                           give /backup to the user of PostgreSQL
#   pg.sh healthy                           answers over TCP and replays nothing
#   pg.sh archive PATH NAME [DIR]           one file of the WAL into DIR/wal (archive_command)
#   pg.sh fetch NAME PATH [DIR]             and out again (restore_command)
#   pg.sh archiving                         the last try to archive WAL succeeded
#   pg.sh psql [ARGS]                       SQL, as the login that owns all
#   pg.sh base [DIR]                        a base backup into DIR/base, whole or not at all; prints its name
#   pg.sh list [DIR]                        the base backups, oldest first
#   pg.sh expire KEEP [DIR]                 the newest KEEP base backups stay, and the WAL that they need
#   pg.sh restore NAME DATA [TIME] [DIR]    the base backup NAME into the folder DATA, to be replayed up to TIME (or "latest")
#
# DIR is /backup unless it is given. Where the server is: PGHOST, PGPORT, PGUSER, and PGPASSWORD or POSTGRES_PASSWORD_FILE.

set -eu
umask 077

fail() {
    printf 'pg.sh: %s\n' "$*" >&2
    exit 1
}

login() {
    export PGHOST="${PGHOST:-127.0.0.1}" PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}" PGCONNECT_TIMEOUT=5
    if [ -z "${PGPASSWORD:-}" ] && [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
        export PGPASSWORD
    fi
}

folders() {
    mkdir -p /backup/wal /backup/base
    # With all that lies there: it may have been brought from another machine, or by an image whose user has another number.
    chown -R postgres:postgres /backup
    chmod -R u+rwX,go= /backup
}

is_false() {
    login
    [ "$(psql --no-psqlrc --dbname=postgres --tuples-only --no-align --command="$1")" = f ]
}

healthy() { is_false 'select pg_is_in_recovery()'; }

archiving() {
    is_false 'select coalesce(last_failed_time > last_archived_time, last_failed_time is not null) from pg_stat_archiver'
}

sql() {
    login
    exec psql --no-psqlrc --dbname="${POSTGRES_DB:-postgres}" "$@"
}

# PostgreSQL keeps a file until this says 0, and may ask again for one that is there.
archive() {
    to="$3/wal/$2.gz"
    if [ -e "$to" ]; then
        gzip -dc "$to" | cmp -s - "$1" || fail "$to is there with another content: two servers archive into one folder"
        return 0
    fi
    mkdir -p "$3/wal"
    # Of tries that failed.
    rm -f "$to".part.*
    gzip -1 -c "$1" >"$to.part.$$"
    sync "$to.part.$$"
    mv "$to.part.$$" "$to"
    sync "$3/wal"
}

fetch() {
    [ -e "$3/wal/$1.gz" ] || exit 1 # the end of what was archived
    # Any other small number would be taken for that end too, and what comes after it would be dropped without a word.
    gzip -dc "$3/wal/$1.gz" >"$2" || exit 255
}

base() {
    login
    name=$(date -u +%Y%m%dT%H%M%SZ)
    to="$1/base/$name"
    [ ! -e "$to" ] || fail "$to is there already; one base backup a second is enough"
    mkdir -p "$1/base"
    rm -rf "$1"/base/*.part
    pg_basebackup --pgdata="$to.part" --format=tar --gzip --wal-method=stream --checkpoint=fast \
        --manifest-checksums=SHA256 --no-password ||
        { rm -rf "$to.part"; fail "pg_basebackup failed; its words are above"; }
    sync
    mv "$to.part" "$to"
    printf '%s\n' "$name"
}

list() {
    for one in "$1"/base/*Z; do
        [ ! -d "$one" ] || basename "$one"
    done
}

expire() {
    case $1 in '' | *[!0-9]* | 0) fail "expire: how many to keep? $1 is no number above 0" ;; esac
    kept=$(list "$2" | tail -n "$1")
    oldest=$(printf '%s\n' "$kept" | head -n 1)
    [ -n "$oldest" ] || fail "there is no base backup in $2/base"
    label=$(gzip -dc "$2/base/$oldest/base.tar.gz" | tar -xOf - backup_label)
    from=$(printf '%s\n' "$label" | sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p')
    [ -n "$from" ] || fail "$2/base/$oldest does not say which WAL it needs; nothing was removed"
    for one in $(list "$2"); do
        printf '%s\n' "$kept" | grep -qx "$one" || rm -rf "$2/base/$one"
    done
    pg_archivecleanup -x .gz "$2/wal" "$from"
}

restore() {
    from="$4/base/$1"
    [ -e "$from/base.tar.gz" ] || fail "there is no base backup $1 in $4/base; there are: $(list "$4" | tr '\n' ' ')"
    command -v pg_verifybackup >/dev/null || fail "pg_verifybackup is not in the PATH; it lies beside the program postgres"
    case "$0$2$3$4" in *[\'\"\\]*) fail "a quote or backslash in a name would not survive PostgreSQL's settings" ;; esac
    self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
    [ ! -e "$2/postmaster.pid" ] || fail "$2 is or was in use by a server; stop it first (and remove postmaster.pid if it died)"
    data=$2 new=$2.new old=$2.replaced-$(date -u +%Y%m%dT%H%M%SZ)
    rm -rf "$new"
    # Until the new one is whole, the old one stays where it is; however this ends, there is one.
    trap 'rm -rf "$new"; [ -e "$data" ] || [ ! -e "$old" ] || mv "$old" "$data"' EXIT
    trap 'exit 130' INT TERM HUP
    mkdir -m 0700 "$new"
    gzip -dc "$from/base.tar.gz" | tar -xf - -C "$new"
    gzip -dc "$from/pg_wal.tar.gz" | tar -xf - -C "$new/pg_wal"
    cp "$from/backup_manifest" "$new/backup_manifest"
    pg_verifybackup --quiet "$new" || fail "the base backup $1 is damaged (see above); try an older one"
    # The settings of an earlier restore are in the backup, too: up to its moment would be before this backup.
    settings=$new/postgresql.auto.conf
    sed -i '/^[[:space:]]*\(restore_command\|recovery_[a-z_]*\)[[:space:]=]/d' "$settings"
    {
        printf "restore_command = '/bin/sh \"%s\" fetch %%f \"%%p\" \"%s\"'\n" "$self" "$4"
        printf "recovery_target_timeline = 'latest'\nrecovery_target_action = 'promote'\n"
        case $3 in latest) ;; *) printf "recovery_target_time = '%s'\n" "$3" ;; esac
    } >>"$settings"
    : >"$new/recovery.signal"
    sync
    [ ! -e "$data" ] || mv "$data" "$old"
    mv "$new" "$data"
    sync
}

task=${1:-}
[ $# -eq 0 ] || shift
case $task in
    folders | healthy | archiving) "$task" ;;
    psql) sql "$@" ;;
    archive | fetch) "$task" "$1" "$2" "${3:-/backup}" ;;
    base | list) "$task" "${1:-/backup}" ;;
    expire) expire "${1:-}" "${2:-/backup}" ;;
    restore) restore "$1" "$2" "${3:-latest}" "${4:-/backup}" ;;
    *) fail "what is to be done? The beginning of this file lists it" ;;
esac
