#!/bin/sh
# As postgres:15's own entrypoint does what our compose file uses of it: initdb with POSTGRES_USER, POSTGRES_DB,
# POSTGRES_PASSWORD_FILE and POSTGRES_INITDB_ARGS on the first start, then the server as the user postgres.
set -eu
case ${1:-postgres} in postgres | -*) ;; *) exec "$@" ;; esac
[ "${1:-}" = postgres ] && shift
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" postgres "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:?a password is needed}")}
    user=${POSTGRES_USER:-postgres}
    pw=$(mktemp)
    printf '%s\n' "$password" >"$pw"
    # Words of the variable are arguments.
    # shellcheck disable=SC2086
    initdb --username="$user" --pwfile="$pw" --pgdata="$PGDATA" ${POSTGRES_INITDB_ARGS:-}
    rm -f "$pw"
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql" start
    if [ "${POSTGRES_DB:-$user}" != postgres ]; then
        PGPASSWORD=$password createdb --host=/var/run/postgresql --username="$user" --maintenance-db=postgres "${POSTGRES_DB:-$user}"
    fi
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec postgres -c listen_addresses='*' "$@"
