#!/bin/sh
# Restarts both instances in turn, so that one always serves: for another image (STOREPULSE_CLOUD_IMAGE in .env), other settings
# (service.env), or just so. The schema is brought up to date first; migrations work for the old and the new service at once.
# An instance that does not become healthy ends it: the other one serves on, as it was.
#
#   ./rolling.sh

set -eu
cd "$(dirname "$0")"
. ./compose.sh

say() { printf '%s\n' "$*"; }
fail() {
    printf 'rolling.sh: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
    exit 1
}
health() { docker inspect --format '{{.State.Health.Status}}' "$(compose ps -q "$1")" 2>/dev/null || say gone; }

# One that is not healthy goes first: nobody misses it, and this is how a bad image is taken back.
order='cloud-1 cloud-2'
[ "$(health cloud-2)" = healthy ] || order='cloud-2 cloud-1'
[ "$(health "${order#* }")" = healthy ] ||
    fail "neither cloud-1 nor cloud-2 is healthy, so nothing can be restarted in turn" \
        'docker compose logs cloud-1 says why; docker compose up -d starts both'
compose run --rm --no-deps -T migrate </dev/null || fail 'the schema could not be brought up to date' 'see the message above; nothing was restarted'
for instance in $order; do
    compose up -d --no-deps --force-recreate "$instance" || fail "$instance does not start" 'see the message above'
    waited=0
    until [ "$(health "$instance")" = healthy ]; do
        if [ "$waited" -ge "${STOREPULSE_WAIT:-120}" ]; then
            compose logs --tail 30 "$instance" >&2 || true
            fail "$instance is $(health "$instance") after $waited s; the other one serves" \
                'its last words are above; put STOREPULSE_CLOUD_IMAGE in .env back to what it was and run this again'
        fi
        sleep 1
        waited=$((waited + 1))
    done
    # Longer than a balancer takes to use it again.
    sleep 3
    say "$instance is restarted and healthy"
done
