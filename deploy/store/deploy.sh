#!/bin/sh
# Starts the agent of this store on a gateway box, and waits until it is healthy. Run it again whenever you like.
#
#   ./deploy.sh            check, start, wait
#   ./deploy.sh --check    check only; starts nothing
#
# STOREPULSE_IMAGE names another image than the one in docker-compose.yml.

set -eu

company={{company}}
tenant='{{tenant}}'
store='{{store}}'
wait_s=${STOREPULSE_WAIT:-120}

say() { printf '%s\n' "$*"; }
fail() {
    printf 'deploy.sh: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
    exit 1
}

cd "$(dirname "$0")"
say "Store $store of $company ($tenant)"

# What must be there.
command -v docker >/dev/null 2>&1 ||
    fail 'docker is not installed' 'see https://docs.docker.com/engine/install/, then run this again'
docker info >/dev/null 2>&1 ||
    fail 'docker does not answer' 'is it running (systemctl start docker), and may you use it (group docker, or sudo)?'
docker compose version >/dev/null 2>&1 ||
    fail 'docker has no "compose"' 'install the package docker-compose-plugin, then run this again'
for file in docker-compose.yml agent.yaml store.key push.token; do
    [ -s "$file" ] || fail "$file is missing or empty" \
        'copy the whole folder of this store from the onboarding package, or run onboarding again'
done

# What nobody else may read. The POS terminal's file holds a push token, too.
for secret in store.key push.token pos-agent-config.yaml; do
    [ -e "$secret" ] || continue
    [ -O "$secret" ] || fail "$secret belongs to somebody else" "chown it to $(id -un), who runs this"
    if [ -n "$(find "$secret" -perm /077)" ]; then
        chmod 600 "$secret" || fail "$secret can be read by others" "chmod 600 $secret"
        say "  $secret could be read by others; corrected"
    fi
done
mkdir -p spool && chmod 700 spool

# The agent runs as whoever owns these files.
printf 'STOREPULSE_UID=%s\nSTOREPULSE_GID=%s\n' "$(id -u)" "$(id -g)" >.env
[ -z "${STOREPULSE_IMAGE:-}" ] || printf 'STOREPULSE_IMAGE=%s\n' "$STOREPULSE_IMAGE" >>.env
docker compose config --quiet || fail 'docker-compose.yml is not understood' 'see the message above'

image=$(docker compose config --images)
docker image inspect "$image" >/dev/null 2>&1 || docker compose pull --quiet ||
    fail "the image $image cannot be had" \
        'is this box on-line? Without a link: docker save it elsewhere, docker load it here' \
        'or name another one: STOREPULSE_IMAGE=… ./deploy.sh'
docker compose run --rm --no-deps agent check --config /storepulse/agent.yaml ||
    fail 'the configuration is not right' 'the lines above say where; correct it and run this again'
[ "${1:-}" != --check ] || { say 'All is well; nothing was started.'; exit 0; }

docker compose up --detach --remove-orphans ||
    fail 'the agent does not start' 'see the message above; is another agent running here (ports 9750, 9751)?'
say "  started; waiting up to $wait_s s until it is healthy"
waited=0
while :; do
    id=$(docker compose ps --quiet agent)
    state=$(docker inspect --format '{{.State.Health.Status}}' "$id" 2>/dev/null || say gone)
    [ "$state" != healthy ] || break
    if [ "$waited" -ge "$wait_s" ]; then
        docker compose logs --tail 30 agent >&2 || true
        fail "the agent is $state after $wait_s s" \
            'its last words are above; more: docker compose logs agent' \
            'docker compose exec agent storepulse-agent status --config /storepulse/agent.yaml says how it is' \
            'samples are kept meanwhile; when the cause is gone, run this again'
    fi
    sleep 2
    waited=$((waited + 2))
done
say 'The agent is healthy.'
docker compose exec --no-TTY agent storepulse-agent status --config /storepulse/agent.yaml ||
    say '  it has not reached the cloud yet: samples are kept and sent later'
say "POS terminals push to http://<this box>:9751/v1/metrics/batch; this box is: $(hostname -I 2>/dev/null || hostname)"
