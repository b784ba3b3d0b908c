# shellcheck shell=sh
# Read by the other scripts: `compose` is whichever compose this machine has.
if docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
elif command -v docker-compose >/dev/null 2>&1; then
    compose() { docker-compose "$@"; }
else
    printf '%s: there is neither "docker compose" nor docker-compose: install docker-compose-plugin (or docker-compose)\n' \
        "$(basename "$0")" >&2
    exit 1
fi
docker info >/dev/null 2>&1 || {
    printf '%s: docker does not answer: is it running (systemctl start docker), and may you use it (group docker, or root)?\n' \
        "$(basename "$0")" >&2
    exit 1
}
