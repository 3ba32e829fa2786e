#!/bin/sh
# A Docker engine for machines that have none (CI, bare virtual machines).
#
#   docker_engine.sh start [--dry-run]   install docker.io if needed, start dockerd, print DOCKER_HOST
#   docker_engine.sh stop  [--dry-run]   stop exactly the engine that `start` started
#   docker_engine.sh status              say what answers; exit 0 if an engine does, 3 if none
#
# The engine listens at unix:///var/run/docker.sock, the default of every client, so nothing has to
# be exported. If an engine answers already, `start` refuses and changes nothing. All its files
# are in one folder: STEPCODER_DOCKER_STATE (default /var/lib/stepcoder-docker). It is started
# without a bridge and leaves the machine's firewall alone: the sandbox's containers have no network.
set -eu

STATE="${STEPCODER_DOCKER_STATE:-/var/lib/stepcoder-docker}"
SOCKET="${STEPCODER_DOCKER_SOCKET:-/var/run/docker.sock}"
PIDFILE="$STATE/dockerd.pid"
STARTED="$STATE/started" # "PID START_TICKS" of the engine that `start` started
LOG="$STATE/dockerd.log"
WAIT_SECONDS=60
DRY_RUN=no

say() { printf '%s\n' "$*"; }
fail() {
    printf 'docker_engine: %s\n' "$1" >&2
    exit "${2:-1}"
}
# run COMMAND...: do it, or with --dry-run say it.
run() {
    if [ "$DRY_RUN" = yes ]; then say "would run: $*"; else "$@"; fi
}

# answers SOCKET: an engine replies to GET /_ping there.
answers() {
    [ -S "$1" ] || return 1
    python3 - "$1" <<'PY' 2>/dev/null
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(3)
s.connect(sys.argv[1])
s.sendall(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")
sys.exit(b"200 OK" not in s.recv(256))
PY
}

# The address at which an engine answers, or nothing.
answering_address() {
    case "${DOCKER_HOST:-}" in
    unix://*)
        if answers "${DOCKER_HOST#unix://}"; then
            say "$DOCKER_HOST"
            return
        fi
        ;;
    "") ;;
    *)
        # A remote engine: only its own client can ask.
        if command -v docker >/dev/null && timeout 5 docker version >/dev/null 2>&1; then
            say "$DOCKER_HOST"
            return
        fi
        ;;
    esac
    if answers "$SOCKET"; then say "unix://$SOCKET"; fi
}

# start_ticks PID: when the process started, in clock ticks after boot; tells a reused id apart.
# Nothing for a process that ended.
start_ticks() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 !~ /[ZX]/ { print $20 }'; }

# The process id of the engine that `start` started, if it is alive; else nothing.
own_engine() {
    [ -r "$STARTED" ] || return 0
    read -r pid ticks <"$STARTED" || return 0
    if [ "$(start_ticks "$pid")" = "$ticks" ]; then say "$pid"; fi
}

# An engine mounts its data folder on itself; a killed engine leaves that mount behind.
unmount_data() {
    while grep -q " $STATE/data " /proc/mounts; do umount "$STATE/data" 2>/dev/null || return 0; done
}

install_engine() {
    command -v dockerd >/dev/null && return
    command -v apt-get >/dev/null ||
        fail "no dockerd on this machine and no apt-get to install it: install a Docker engine by hand"
    [ "$(id -u)" = 0 ] ||
        fail "no dockerd on this machine; run as root (sudo $0 start), or install docker.io by hand"
    run env DEBIAN_FRONTEND=noninteractive apt-get update -q
    run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends docker.io
}

# An init system mounts the control groups; a bare virtual machine without one needs this.
mount_cgroups() {
    if grep -q '[[:space:]]/sys/fs/cgroup[/[:space:]]' /proc/mounts; then return; fi
    run mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

start() {
    # A socket's path holds 107 characters, and the engine puts one deep in here.
    [ "${#STATE}" -le 65 ] || fail "the state folder's path is too long for sockets: $STATE"
    address="$(answering_address)"
    if [ -n "$address" ]; then
        fail "an engine already answers at $address: use that one (nothing was changed)" 4
    fi
    install_engine
    if [ "$DRY_RUN" = no ] && [ -n "$(answering_address)" ]; then
        say "the installed package started an engine itself; it answers at $(answering_address)"
        return
    fi
    [ "$(id -u)" = 0 ] || fail "starting an engine needs root: sudo $0 start"
    if [ "$DRY_RUN" = no ] && [ -n "$(own_engine)" ]; then
        fail "the engine started earlier (process $(own_engine)) lives but does not answer: see $LOG, or '$0 stop'"
    fi
    mount_cgroups
    run mkdir -p "$STATE" "$(dirname "$SOCKET")"
    run rm -f "$PIDFILE" "$STARTED"
    if [ "$DRY_RUN" = yes ]; then
        say "would start: dockerd --host unix://$SOCKET --data-root $STATE/data --exec-root $STATE/exec" \
            "--pidfile $PIDFILE --bridge none --iptables=false --ip6tables=false (log: $LOG)"
        return
    fi
    # The engine inherits no descriptors: a caller that reads our output to its end would otherwise
    # wait until the engine ends.
    setsid nohup dockerd --host "unix://$SOCKET" --data-root "$STATE/data" --exec-root "$STATE/exec" \
        --pidfile "$PIDFILE" --bridge none --iptables=false --ip6tables=false --ip-forward=false \
        </dev/null >"$LOG" 2>&1 &
    pid=$!
    say "$pid $(start_ticks "$pid")" >"$STARTED"
    waited=0
    until answers "$SOCKET"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            unmount_data
            rm -f "$STARTED"
            fail "dockerd ended at once; the last lines of $LOG:
$(tail -n 5 "$LOG")"
        fi
        waited=$((waited + 1))
        [ "$waited" -le "$WAIT_SECONDS" ] ||
            fail "dockerd (process $pid) did not answer within $WAIT_SECONDS s: see $LOG"
        sleep 1
    done
    say "engine started (process $pid, state in $STATE, log $LOG)"
    say "DOCKER_HOST=unix://$SOCKET"
}

stop() {
    pid="$(own_engine)"
    if [ -z "$pid" ]; then
        say "no engine of ours runs (state folder $STATE); nothing to stop"
        return
    fi
    run kill "$pid"
    if [ "$DRY_RUN" = yes ]; then return; fi
    waited=0
    while [ -n "$(own_engine)" ]; do
        waited=$((waited + 1))
        [ "$waited" -le "$WAIT_SECONDS" ] || fail "process $pid did not end within $WAIT_SECONDS s: see $LOG"
        sleep 1
    done
    unmount_data
    rm -f "$STARTED" "$PIDFILE"
    say "engine stopped (process $pid); its images stay in $STATE/data"
}

status() {
    pid="$(own_engine)"
    address="$(answering_address)"
    if [ -n "$address" ]; then
        say "an engine answers at $address${pid:+ (started by this script, process $pid, log $LOG)}"
    elif [ -n "$pid" ]; then
        fail "the engine started by this script (process $pid) does not answer: see $LOG" 3
    else
        fail "no engine answers; start one with: $0 start" 3
    fi
}

usage() { fail "usage: $0 start|stop|status [--dry-run]" 2; }

command="${1:-}"
[ "$#" -le 2 ] || usage
case "${2:-}" in
--dry-run) DRY_RUN=yes ;;
"") ;;
*) usage ;;
esac
case "$command" in
start | stop | status) "$command" ;;
*) usage ;;
esac
