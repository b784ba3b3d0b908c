#!/bin/sh
# Starts the agent of this store on a gateway box, upgrades it, and goes back. Run it again whenever you like.
#
#   ./deploy.sh               check, start or upgrade, wait until the agent is healthy
#   ./deploy.sh --check       check only; starts and changes nothing
#   ./deploy.sh --rollback    back to the image that ran before the last upgrade
#
#   STOREPULSE_IMAGE=storepulse/agent:0.2.0 ./deploy.sh    upgrades to this image; later runs stay with it
#
# An image that does not get healthy is taken back by itself. What was collected lies in a volume that nothing here touches.
# Exit code: 0 all is well; 1 something is wrong, and what ran before runs on; 2 this is not how it is called; 3 the agent runs
# and keeps samples, but the cloud does not take them yet.

set -eu

company={{company}}
tenant='{{tenant}}'
store='{{store}}'
wait_s=${STOREPULSE_WAIT:-120}
cloud_wait_s=${STOREPULSE_CLOUD_WAIT:-30}
free_min_mb=${STOREPULSE_FREE_MIN_MB:-300}
project=storepulse
config=/storepulse/agent.yaml

say() { printf '%s\n' "$*"; }
warn() { printf 'deploy.sh: %s\n' "$*" >&2; }
# What is wrong, and what to do, a line each.
fail() {
    warn "$1"
    shift
    for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
    exit 1
}
# A value of a file with lines NAME=value.
value() { [ ! -e "$2" ] || sed -n "s/^$1=//p" "$2" | tail -n 1; }
# Replaces a file as a whole or not at all.
put() {
    { cat >"$1.new" && chmod 600 "$1.new" && mv "$1.new" "$1"; } || {
        rm -f "$1.new" 2>/dev/null || true
        fail "$PWD/$1 cannot be written" 'is the disk full (df -h), or mounted read-only?' \
            'make room or remount it, then run this again; nothing was changed'
    }
}

# ---- docker ------------------------------------------------------------------------------------------------------------------

# From 1.27 and 2.3: what is older needs another form of the file, or ignores which devices the agent may open.
is_good_compose() {
    major=${1%%.*} minor=${1#*.} minor=${minor%%.*}
    case $major$minor in '' | *[!0-9]*) return 1 ;; esac
    { [ "$major" -eq 1 ] && [ "$minor" -ge 27 ]; } || { [ "$major" -eq 2 ] && [ "$minor" -ge 3 ]; } || [ "$major" -ge 3 ]
}

# An engine from 25 on no longer says what docker-compose 1.x asks when it replaces a container, which then is gone.
check_engine() {
    engine=$(docker version --format '{{.Server.Version}}' 2>/dev/null) || engine=
    engine=${engine%%.*}
    case $1 in 1.*) ;; *) return 0 ;; esac
    case $engine in '' | *[!0-9]*) return 0 ;; esac
    [ "$engine" -lt 25 ] || fail "docker-compose $1 cannot replace a container of docker $engine" \
        'install the package docker-compose-plugin (or docker-compose-v2), then run this again; what runs was left as it is'
}

find_docker() {
    command -v docker >/dev/null 2>&1 ||
        fail 'docker is not installed' 'see https://docs.docker.com/engine/install/, then run this again'
    docker info >/dev/null 2>&1 ||
        fail 'docker does not answer' 'is it running (systemctl start docker), and may you use it (group docker, or sudo)?'
    plugin=$(docker compose version --short 2>/dev/null) || plugin=
    alone=
    ! command -v docker-compose >/dev/null 2>&1 || alone=$(docker-compose version --short 2>/dev/null) || alone=
    if is_good_compose "${plugin#v}"; then
        compose_is='docker compose'
    elif is_good_compose "${alone#v}"; then
        compose_is=docker-compose
        check_engine "${alone#v}"
    elif [ -n "$plugin$alone" ]; then
        fail "docker's compose is too old: ${plugin:-$alone}" \
            'it must be 1.27 or newer as docker-compose, 2.3 or newer as docker compose' \
            'install the package docker-compose-plugin (or docker-compose), then run this again'
    else
        fail 'docker has no "compose"' 'install the package docker-compose-plugin (or docker-compose), then run this again'
    fi
}

compose() {
    # Two words, or one.
    # shellcheck disable=SC2086
    $compose_is --project-name "$project" "$@"
}

# The agent's container, running or not; not one that was made for a check.
container() {
    docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$project" \
        --filter label=com.docker.compose.service=agent --filter label=com.docker.compose.oneoff=False | head -n 1
}

id_of_image() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

see_what_runs() {
    ran=$(container) ran_image='' ran_id='' ran_state=''
    [ -n "$ran" ] || return 0
    ran_image=$(docker inspect --format '{{.Config.Image}}' "$ran")
    ran_id=$(docker inspect --format '{{.Image}}' "$ran")
    ran_state=$(docker inspect --format '{{.State.Status}}' "$ran")
    whose=$(docker inspect --format '{{index .Config.Labels "io.storepulse.tenant"}}/{{index .Config.Labels "io.storepulse.store"}}' "$ran")
    [ "$whose" = "$tenant/$store" ] ||
        fail "the agent of another store runs on this box: $whose" \
            "if this box now belongs to $tenant/$store, let the other one deliver what it has, then: docker rm --force $ran" \
            'its samples stay in its own volume'
}

# ---- the folder --------------------------------------------------------------------------------------------------------------

check_files() {
    for file in docker-compose.yml agent.yaml store.key push.token; do
        [ -s "$file" ] || fail "$file is missing or empty" \
            'copy the whole folder of this store from the onboarding package, or run onboarding again'
    done
    for file in .env store.key; do
        [ ! -e "$file" ] || [ -r "$file" ] || fail "$PWD/$file cannot be read by $(id -un)" 'run this with sudo, as before'
    done
    [ -w . ] || fail "$PWD cannot be written by $(id -un)" 'run this as who owns the folder, or with sudo'
}

# Megabytes that are free where this path lies.
free_mb() { df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }'; }

check_disk() {
    for place in . "$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)"; do
        free=$(free_mb "$place") || free=
        if [ -z "$free" ] || [ "$free" -ge "$free_min_mb" ]; then continue; fi
        fail "the disk of $place is full: $free MB are free, $free_min_mb are needed" \
            'what takes the room: docker system df; du -xhd1 / | sort -h' \
            'images that nothing uses: docker image prune; then run this again. What runs was left as it is'
    done
}

# Sets mode (as ls tells it), owner and group (numbers) of what a path leads to.
about() {
    # shellcheck disable=SC2012 # ls is the one that POSIX has for this, and the last word is not looked at
    read -r mode owner group <<END
$(ls -ndL "$1" | awk '{ print $1, $3, $4 }')
END
}

# Who the agent is, and where its spool lies. What was decided once stays: its files belong to that user.
choose_user() {
    STOREPULSE_UID=$(value STOREPULSE_UID .env) STOREPULSE_GID=$(value STOREPULSE_GID .env)
    STOREPULSE_SPOOL=$(value STOREPULSE_SPOOL .env)
    # Packages of before had the spool in this folder. It stays there.
    if [ -z "$STOREPULSE_SPOOL" ] && [ -n "$(ls spool 2>/dev/null)" ]; then
        STOREPULSE_SPOOL=./spool
        about spool
        STOREPULSE_UID=$owner STOREPULSE_GID=$group
        say "  the spool of this store lies in ./spool, and stays there"
    fi
    if [ -z "$STOREPULSE_UID" ]; then
        STOREPULSE_UID=$(id -u) STOREPULSE_GID=$(id -g)
        # The image's own user; root would take ports away from the till.
        [ "$STOREPULSE_UID" != 0 ] || { STOREPULSE_UID=65532 STOREPULSE_GID=65532; }
    fi
    : "${STOREPULSE_SPOOL:=spool}"
    # Where docker mounts the volume, in a folder that it may not write. Before it is mounted, whoever checks looks into it.
    if [ "$STOREPULSE_SPOOL" = spool ]; then
        { mkdir -p spool && chmod 755 spool; } 2>/dev/null ||
            fail "the folder $PWD/spool cannot be made" 'is the disk full (df -h)? Make room, then run this again'
    fi
    STOREPULSE_DEVICE_GID=$(device_group)
    STOREPULSE_CONFIG_SUM=$(cksum <agent.yaml | tr ' ' -)
    export STOREPULSE_UID STOREPULSE_GID STOREPULSE_SPOOL STOREPULSE_DEVICE_GID STOREPULSE_CONFIG_SUM
}

# That of the ports that are named and there; else the one that this system has for them.
device_group() {
    for port in $(ports); do
        [ -e "$port" ] || continue
        about "$port"
        [ "$group" = 0 ] || { echo "$group"; return; }
    done
    for group in dialout uucp; do
        gid=$(sed -n "s/^$group:[^:]*:\([0-9]*\):.*/\1/p" /etc/group 2>/dev/null | head -n 1)
        [ -z "$gid" ] || { echo "$gid"; return; }
    done
    echo 20
}

# What nobody but the agent may read. The POS terminal's file holds a push token, too.
check_secrets() {
    for secret in store.key push.token pos-agent-config.yaml page.pin; do
        [ -e "$secret" ] || continue
        about "$secret"
        if [ "$owner" != "$STOREPULSE_UID" ]; then
            { [ "$(id -u)" = 0 ] && chown "$STOREPULSE_UID:$STOREPULSE_GID" "$secret"; } ||
                fail "$secret belongs to user $owner, and the agent, which is user $STOREPULSE_UID, cannot read it" \
                    "sudo chown $STOREPULSE_UID:$STOREPULSE_GID $secret, or sudo ./deploy.sh"
            say "  $secret now belongs to user $STOREPULSE_UID, who the agent is"
        fi
        if [ -n "$(find "$secret" -perm /077)" ]; then
            chmod 600 "$secret" || fail "$secret can be read by others" "sudo chmod 600 $secret"
            say "  $secret could be read by others; corrected"
        fi
    done
}

# ---- ports -------------------------------------------------------------------------------------------------------------------

# Serial ports that agent.yaml names, a line each; a comment is none.
ports() {
    sed 's/[[:space:]]#.*//; s/^#.*//' agent.yaml | sed -n 's/.*\(port\|path\):[[:space:]]*["'\'']\{0,1\}\(\/dev\/[^]"'\'' ,}]*\).*/\2/p' | sort -u
}

# Whether this process is in the agent's container.
is_ours() { [ -n "$ran" ] && grep -q "$ran" "/proc/$1/cgroup" 2>/dev/null; }

# Processes that have a file open, as far as we may see.
holders() {
    # shellcheck disable=SC2012 # one process, where a loop over all descriptors would take seconds
    ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v file="$1" \
        '/^\/proc\/[0-9]+\/fd:$/ { split($0, part, "/"); pid = part[3] } $NF == file && $(NF - 1) == "->" { print pid }' |
        sort -u
}

check_serial_ports() {
    for port in $(ports); do
        if [ ! -e "$port" ]; then
            say "  $port is not there now; the agent waits for it (is it plugged in?)"
            continue
        fi
        about "$port"
        may=no
        case $mode in
            ???????rw*) may=yes ;;
            ????rw*) [ "$group" != "$STOREPULSE_DEVICE_GID" ] || may=yes ;;
        esac
        [ "$owner" != "$STOREPULSE_UID" ] || may=yes
        [ "$may" = yes ] || fail "the agent may not open $port: it is $mode, of user $owner and group $group" \
            "the agent is user $STOREPULSE_UID, with group $STOREPULSE_DEVICE_GID for devices" \
            "now: sudo chgrp $STOREPULSE_DEVICE_GID $port && sudo chmod g+rw $port" \
            'for good: a rule of udev with GROUP="dialout", MODE="0660"; then run this again'
        for pid in $(holders "$(readlink -f "$port")"); do
            if is_ours "$pid"; then continue; fi
            fail "$port is held by process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null))" \
                'a serial port has one reader: if the till has it, take this device out of agent.yaml, or use a tap' \
                'otherwise stop that program, then run this again'
        done
    done
}

# Addresses that agent.yaml listens on; the page has a default.
listens() {
    grep -q '^local:' agent.yaml || echo 127.0.0.1:9750
    sed 's/[[:space:]]#.*//; s/^#.*//' agent.yaml | sed -n 's/.*listen:[[:space:]]*["'\'']\{0,1\}\([0-9.:a-f]*:[0-9]*\).*/\1/p'
}

check_addresses() {
    [ -r /proc/net/tcp ] || return 0
    for address in $(listens); do
        # What listens there is the agent itself: where it was last told to, and that was free then.
        if [ "$ran_state" = running ] && { [ ! -e .listens ] || grep -qxF "$address" .listens; }; then continue; fi
        port=$(printf '%04X' "${address##*:}")
        # 0A: it listens. A box without IPv6 has one of these files only.
        cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
            awk -v port=":$port" 'substr($2, length($2) - 4) == port && $4 == "0A" { found = 1 } END { exit !found }' || continue
        fail "port ${address##*:} is taken: another program listens there, perhaps another agent" \
            "which: sudo ss -ltnp 'sport = :${address##*:}'" \
            "stop it, or have the agent listen elsewhere (listen: in agent.yaml), then run this again"
    done
}

# ---- the image ---------------------------------------------------------------------------------------------------------------

choose_image() {
    # The one in the file, unless another one was asked for since the file last named a new one.
    in_file=$(sed -n 's/.*image:.*STOREPULSE_IMAGE:-\([^}]*\)}.*/\1/p' docker-compose.yml | head -n 1)
    chosen=$(value STOREPULSE_IMAGE .env)
    [ "$(value STOREPULSE_INSTEAD_OF .env)" = "$in_file" ] || chosen=
    wanted=${STOREPULSE_IMAGE:-${chosen:-$in_file}}
    if [ "$action" = rollback ]; then
        before=.previous
        # An interrupted upgrade comes first.
        [ ! -e .upgrade ] || before=.upgrade
        [ -e $before ] || fail 'there is nothing to go back to: no upgrade was made here' \
            'name the image: STOREPULSE_IMAGE=storepulse/agent:… ./deploy.sh'
        wanted=$(value IMAGE $before) id=$(value ID $before)
        # A name may have moved on since.
        [ "$(id_of_image "$wanted")" = "$id" ] || wanted=$id
        id_of_image "$wanted" >/dev/null ||
            fail "the image that ran before is not on this box any more: $(value IMAGE $before)" \
                "get it (docker pull, docker load), then: STOREPULSE_IMAGE=$(value IMAGE $before) ./deploy.sh"
    fi
    [ -n "$wanted" ] || fail 'docker-compose.yml names no image' 'put the line "image:" of the package back'
    export STOREPULSE_IMAGE="$wanted"
}

get_image() {
    id_of_image "$wanted" >/dev/null || docker pull --quiet "$wanted" ||
        fail "the image $wanted cannot be had; what runs was left as it is" \
            'is this box on-line, and has its disk room (df -h)? Without a link: docker save it elsewhere, docker load it here' \
            'or name another one: STOREPULSE_IMAGE=… ./deploy.sh'
    wanted_id=$(id_of_image "$wanted")
}

check_configuration() {
    compose config --quiet || fail 'docker-compose.yml is not understood' 'see the message above' \
        "docker-compose (1.x) knows no \"name:\" at the beginning of a line; $compose_is is what is used here"
    # Not by compose: docker-compose 1.29 cannot run a second container of a service with the host's network.
    # A key that the agent has made itself lies beside its spool.
    state=
    if [ -n "$ran" ]; then
        state=$(docker inspect --format \
            '{{range .Mounts}}{{if eq .Destination "/storepulse/spool"}}{{or .Name .Source}}{{end}}{{end}}' "$ran")
    elif [ "$STOREPULSE_SPOOL" != spool ]; then
        state=$PWD/spool
    elif docker volume inspect "storepulse-$tenant-$store-spool" >/dev/null 2>&1; then
        state=storepulse-$tenant-$store-spool
    fi
    set --
    [ -z "$state" ] || set -- --volume "$state:/storepulse/spool:ro"
    docker run --rm --network none --read-only --cap-drop ALL --user "$STOREPULSE_UID:$STOREPULSE_GID" \
        --volume "$PWD:/storepulse:ro" "$@" "$wanted" check --config $config ||
        fail 'the configuration is not right; what runs was left as it is' \
            'the lines above say where; correct it and run this again'
}

# ---- the change --------------------------------------------------------------------------------------------------------------

write_env() {
    {
        printf '# Written by deploy.sh; docker compose reads it.\nCOMPOSE_PROJECT_NAME=%s\n' "$project"
        printf 'STOREPULSE_UID=%s\nSTOREPULSE_GID=%s\n' "$STOREPULSE_UID" "$STOREPULSE_GID"
        printf 'STOREPULSE_DEVICE_GID=%s\nSTOREPULSE_SPOOL=%s\n' "$STOREPULSE_DEVICE_GID" "$STOREPULSE_SPOOL"
        printf 'STOREPULSE_CONFIG_SUM=%s\n' "$STOREPULSE_CONFIG_SUM"
        [ "$1" = "$in_file" ] || printf 'STOREPULSE_IMAGE=%s\nSTOREPULSE_INSTEAD_OF=%s\n' "$1" "$in_file"
    } | put .env
}

# Until the agent is healthy; says in $state what it was last.
until_healthy() {
    waited=0
    while :; do
        id=$(container)
        state=gone
        [ -z "$id" ] || state=$(docker inspect --format '{{.State.Health.Status}}' "$id" 2>/dev/null) || state=gone
        [ "$state" != healthy ] || return 0
        [ "$waited" -lt "$wait_s" ] || return 1
        if [ -n "$id" ] && [ "$(docker inspect --format '{{.RestartCount}}' "$id" 2>/dev/null || echo 0)" -ge 5 ]; then
            state='ending again and again'
            return 1
        fi
        sleep 2
        waited=$((waited + 2))
    done
}

state='not running'
up() { compose up --detach --no-build --remove-orphans; }

last_words() { compose logs --tail 30 agent >&2 || true; }

# Back to what ran before this run, or before the one that was interrupted.
go_back() {
    trap '' INT TERM HUP
    changing=
    back_image=$(value IMAGE .upgrade) back_id=$(value ID .upgrade)
    [ "$(id_of_image "$back_image")" = "$back_id" ] || back_image=$back_id
    say "  going back to $back_image"
    export STOREPULSE_IMAGE="$back_image"
    # Also where it cannot be written: what runs comes first.
    write_env "$back_image" || true
    if up && until_healthy; then
        rm -f .upgrade
        say '  the agent of before is healthy again; what it had collected is untouched'
    else
        warn "the agent of before is $state; run ./deploy.sh again, or docker compose logs agent"
    fi
}

interrupted() {
    warn 'interrupted'
    exit 1
}

# However this ends, and if nobody can read any more what it says: nothing unproven is left running.
end() {
    code=$?
    trap '' INT TERM HUP
    set +e
    [ -z "${changing:-}" ] || go_back
    rm -rf .deploying
    exit "$code"
}

change() {
    # Before anything changes it is written down what to go back to. If an interrupted run has done so, that counts: what runs
    # now has never been healthy.
    if [ -n "$ran_id" ] && [ "$ran_id" != "$wanted_id" ] && [ ! -e .upgrade ]; then
        printf 'IMAGE=%s\nID=%s\n' "$ran_image" "$ran_id" | put .upgrade
        # So that tidying up leaves it alone when its name moves on.
        docker tag "$ran_id" "storepulse/agent-before:$store" 2>/dev/null || true
    fi
    is_upgrade=
    if [ -e .upgrade ] && [ "$(value ID .upgrade)" != "$wanted_id" ]; then
        is_upgrade=yes
        changing=yes
        say "  from $(value IMAGE .upgrade) to $wanted"
    fi
    write_env "$wanted"
    listens | put .listens
    up || {
        if [ -n "$is_upgrade" ]; then go_back; fi
        fail 'the agent does not start' 'see the message above; when its cause is gone, run this again'
    }
    say "  started; waiting up to $wait_s s until it is healthy"
    until_healthy || {
        last_words
        if [ -n "$is_upgrade" ]; then
            why=$state
            go_back
            fail "$wanted was $why, and was taken back" 'its last words are above; what was collected is untouched'
        fi
        [ -n "$ran" ] || compose rm --stop --force agent >/dev/null 2>&1 || true
        fail "the agent is $state after $waited s" \
            'its last words are above; the configuration can be checked with: ./deploy.sh --check' \
            'samples are kept meanwhile; when the cause is gone, run this again'
    }
    changing=
    if [ -e .upgrade ]; then
        # The same again: an interrupted upgrade was taken back.
        if [ "$(value ID .upgrade)" != "$wanted_id" ]; then mv .upgrade .previous; else rm -f .upgrade; fi
    fi
    check_rules
    say "The agent is healthy ($wanted)."
}

# Some versions of compose pass over the rules, and the agent would then see ports that it cannot open.
check_rules() {
    [ -z "$(ports)" ] || ! grep -q device_cgroup_rules docker-compose.yml || {
        rules=$(docker inspect --format '{{.HostConfig.DeviceCgroupRules}}' "$(container)")
        case $rules in
            *188:*) ;;
            *) warn "$compose_is has passed over device_cgroup_rules: serial ports cannot be opened; install a newer one" ;;
        esac
    }
}

# Whether the cloud takes batches; a new agent needs some seconds.
see_cloud() {
    waited=0
    until asked status --json | tr -d ' \n' | sed 's/.*"uplink":{//' | grep -q '"state":"connected"'; do
        [ "$waited" -lt "$cloud_wait_s" ] || {
            asked status || true
            warn 'the agent runs and keeps what it collects, but the cloud does not take it yet'
            printf '  %s\n' 'the lines above say why; everything between here and the cloud is looked at by:' \
                "$compose_is exec agent storepulse-agent doctor --config $config" \
                'nothing is lost meanwhile, and nothing need be started again when the cause is gone' >&2
            exit 3
        }
        sleep 2
        waited=$((waited + 2))
    done
    asked status || say 'The cloud takes what is collected; what else the lines above name wants to be looked at.'
}

asked() { compose exec -T agent storepulse-agent "$@" --config $config 2>&1; }

# One at a time; who was killed has left its number.
lock() {
    if ! mkdir .deploying 2>/dev/null; then
        other=$(cat .deploying/pid 2>/dev/null) || other=
        [ -d .deploying ] || fail "$PWD cannot be written" 'is the disk full (df -h), or mounted read-only?'
        # After a power cut its number may be another program's.
        if [ -n "$other" ] && tr '\0' ' ' 2>/dev/null <"/proc/$other/cmdline" | grep -q 'deploy\.sh'; then
            fail "another deploy.sh is at work here (process $other)" 'wait for it'
        fi
        warn 'an earlier run was interrupted; going on from where it was'
    fi
    trap end EXIT
    trap interrupted INT TERM HUP
    # A terminal or pipe that is gone is an error of whoever writes there, and not the end.
    trap '' PIPE
    echo $$ 2>/dev/null >.deploying/pid ||
        fail "$PWD cannot be written" 'is the disk full (df -h), or mounted read-only?' 'nothing was changed'
}

action=deploy
case ${1:-} in
    '') ;;
    --check) action=check ;;
    --rollback) action=rollback ;;
    *)
        sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac

cd "$(dirname "$0")"
say "Store $store of $company ($tenant)"
find_docker
check_files
lock
see_what_runs
check_disk
choose_user
check_secrets
choose_image
check_serial_ports
check_addresses
get_image
check_configuration
[ "$action" != check ] || { say 'All is well; nothing was started.'; exit 0; }
change
see_cloud
say "POS terminals push to http://<this box>:9751/v1/metrics/batch; this box is: $(hostname -I 2>/dev/null || hostname)"
