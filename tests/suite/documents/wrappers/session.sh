# Runs the commands of a document in one shell, in order, and says where each begins and how it ended.
# STAGE is the test's own folder; what the document calls "here" is the folder it starts in.
exec 9<&0 </dev/null 2>&1

# perform NUMBER EXIT-CODE: a command that must fail may need its moment, since the processes are told of changes.
perform() {
    local __tries=0 __code
    while :; do
        printf '\n@@ begin %s\n' "$1"
        . "$STAGE/commands/$1"
        __code=$?
        [ "$2" != 0 ] && [ "$__code" != "$2" ] && [ "$__tries" -lt 100 ] || break
        __tries=$((__tries + 1))
        sleep 0.1
    done
    printf '\n@@ end %s %s\n' "$1" "$__code"
}

# until_well LOG PID COMMAND…: waits for a process that was left to run, until the command says that it is well.
until_well() {
    local __log=$1 __pid=$2 __tries=0
    shift 2
    until "$@" >/dev/null 2>&1; do
        __tries=$((__tries + 1))
        if ! kill -0 "$__pid" 2>/dev/null || [ "$__tries" -gt 600 ]; then
            echo "it is not well: $(cat "$__log")"
            return 1
        fi
        sleep 0.1
    done
}

# ended PID: ends a process in order, and says how it took it.
ended() {
    kill -TERM "$1" && wait "$1"
}

is_ready() {
    [ "$("$CURL" --insecure --silent --output /dev/null --write-out '%{http_code}' "https://$1/ready")" = 200 ]
}

# `serve` is left to run, as a service manager would, once it is ready. One that comes beside another has a port of its own, and is
# ended as soon as it is ready.
storepulse-cloud() {
    [ "${1-}" = serve ] || { command storepulse-cloud "$@"; return; }
    local __args=("$@") __at __listen=$LISTEN __log=$STAGE/cloud.log __pid
    [ -z "${CLOUD_PID-}" ] || __listen=$BESIDE __log=$STAGE/cloud-beside.log
    for __at in "${!__args[@]}"; do
        if [ "${__args[__at]}" = --listen ]; then __args[__at + 1]=$__listen; fi
    done
    STOREPULSE_LISTEN=$__listen command storepulse-cloud "${__args[@]}" >"$__log" 2>&1 &
    __pid=$!
    until_well "$__log" "$__pid" is_ready "$__listen" || return
    if [ -n "${CLOUD_PID-}" ]; then ended "$__pid"; else CLOUD_PID=$__pid; fi
}

# `run` is left to run, once the agent says that the cloud takes its batches.
storepulse-agent() {
    [ "${1-}" = run ] || { command storepulse-agent "$@"; return; }
    command storepulse-agent "$@" >"$STAGE/agent.log" 2>&1 &
    AGENT_PID=$!
    shift
    until_well "$STAGE/agent.log" "$AGENT_PID" command storepulse-agent status "$@"
}

# Ends what the document has left to run, each in order.
finish() {
    [ -z "${AGENT_PID-}" ] || ended "$AGENT_PID" || printf '@@ badly ended: agent %s\n' $?
    [ -z "${CLOUD_PID-}" ] || ended "$CLOUD_PID" || printf '@@ badly ended: cloud %s\n' $?
    printf '@@ finished\n'
}
