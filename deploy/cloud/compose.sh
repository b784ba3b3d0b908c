# shellcheck shell=sh
# Read by the other scripts: `compose` is whichever compose this machine has.
if docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
elif command -v docker-compose >/dev/null 2>&1; then
    # An engine from 25 on no longer says what 1.x asks when it replaces a container, which then is gone.
    case $(docker-compose version --short 2>/dev/null)/$(docker version --format '{{.Server.Version}}' 2>/dev/null) in
        1.*/2[5-9].* | 1.*/[3-9][0-9].*)
            printf '%s: docker-compose 1.x cannot replace a container of this docker: install docker-compose-plugin\n' \
                "$(basename "$0")" >&2
            exit 1
            ;;
    esac
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
