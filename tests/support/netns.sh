# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# The rig of the net tests: network namespaces, links, and tunnels of either implementation, and a clean end in any case.
#
#   . "$(dirname "$0")/support/netns.sh"
#   rig_begin 60                    at most 60 seconds, then it fails
#   ...
#   rig_end                         stops what runs and checks that nothing is left behind
#
# Names: a namespace or tunnel has a short name in the test ("a", "b", "r"); `ns a` and `tun a` give the real ones,
# which carry the test's process id, so that tests may run side by side.
#
# A tunnel is `ours` (the client binary) or `wireguard-go`; both are described by the same wg-quick style file. The
# variables FZ_IMPL_A and FZ_IMPL_B choose what runs at the two ends where a test does not insist.
#
# Environment: BUILD and DEPS (build folders), FZ_CLIENT (the binary under test), FZ_KEEP=1 (keep the temporary folder),
# FZ_TRACE=1 (set -x), FZ_OPTIONS (more options for ours).

set -Eeuo pipefail
export LC_ALL=C
umask 077

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
DEPS=${DEPS:-$ROOT/build/deps}
CLIENT=${FZ_CLIENT:-$BUILD/firezone-headless-client}
KEYLOG_CLIENT=${FZ_KEYLOG_CLIENT:-$BUILD/keylog/firezone-headless-client}
WIREGUARD_GO=$DEPS/tools/bin/wireguard-go
[[ -x $WIREGUARD_GO ]] || WIREGUARD_GO=$(command -v wireguard-go || true)
RUN_DIR=/var/run/wireguard
NOTES_DIR=/run/dev.firezone.client # what a killed tunnel leaves there is of no use in a namespace that is gone
[[ -z ${FZ_TRACE:-} ]] || set -x

RIG_TEST=$(basename "$0" .sh)
RIG_OWNER=$BASHPID
RIG_WHY=
TMP=
declare -a RIG_NS=() RIG_PIDS=() RIG_SOCKETS=()
declare -A T_PID=() T_NS=() T_IMPL=() T_TUN=() T_LOG=() T_CONF=() T_WARN=() T_ERRORS=()
declare -A PRIVATE=() PUBLIC=()

say() {
    printf '%s: %s\n' "$RIG_TEST" "$*"
}

fail() {
    RIG_WHY="$RIG_TEST: FAIL: $*"
    printf '%s\n' "$RIG_WHY" >&2
    exit 1
}

skip() {
    printf '%s: SKIP: %s\n' "$RIG_TEST" "$*"
    exit 77
}

# need PROGRAM...
need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

# ---- begin and end ----

rig_begin() { # SECONDS
    local limit=$1
    [[ $(id -u) -eq 0 ]] || skip "needs root (network namespaces)"
    need ip wg ping iperf3 ss
    [[ -c /dev/net/tun ]] || skip "/dev/net/tun is missing"
    TMP=$(mktemp -d "${TMPDIR:-/tmp}/$RIG_TEST.XXXXXX")
    trap rig_cleanup EXIT
    trap 'fail "took longer than its limit, or was told to stop"' TERM
    trap 'exit 130' INT HUP
    trap 'rig_error "$LINENO" "$BASH_COMMAND"' ERR
    ip netns add "$(ns probe)" 2>"$TMP/probe" ||
        skip "network namespaces are refused: $(head -n 1 "$TMP/probe")"
    ip netns del "$(ns probe)"
    (
        trap 'kill "$timer"' TERM
        sleep "$limit" &
        timer=$!
        wait "$timer" && kill -TERM "$RIG_OWNER"
    ) &
    RIG_PIDS+=($!)
}

rig_error() { # LINE COMMAND
    [[ $BASHPID -eq $RIG_OWNER ]] || return 0
    fail "line $1: $2"
}

# Stops the tunnels with all the checks of tunnel_down, after one that they are calm, and looks for leftovers.
rig_end() {
    local name pid
    rig_check_calm
    for name in "${!T_PID[@]}"; do
        tunnel_down "$name"
    done
    for pid in "${RIG_PIDS[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    RIG_PIDS=()
    for name in "${RIG_NS[@]}"; do
        pid=$(ip netns pids "$name")
        [[ -z $pid ]] || fail "processes are left in $name: $(ps -o pid=,args= -p "${pid//$'\n'/,}")"
    done
    say "ok"
}

# A tunnel that carries nothing uses no CPU (half a second, less than a third of a core).
rig_check_calm() {
    local name before=() ours=() i=0
    for name in "${!T_PID[@]}"; do
        [[ ${T_IMPL[$name]} != ours ]] || ours+=("$name")
    done
    [[ ${#ours[@]} -gt 0 ]] || return 0
    for name in "${ours[@]}"; do
        before+=("$(process_ticks "${T_PID[$name]}")")
    done
    sleep 0.5
    for name in "${ours[@]}"; do
        local used=$(($(process_ticks "${T_PID[$name]}") - before[i++]))
        [[ $used -lt 17 ]] || fail "tunnel $name is busy while idle: $used ticks in half a second"
    done
}

rig_cleanup() {
    local status=$? pid name
    trap - EXIT ERR
    trap '' TERM INT HUP
    set +e
    [[ $status -eq 0 || $status -eq 77 || $status -eq 130 || -z $TMP ]] || rig_evidence >&2
    for pid in "${T_PID[@]}" "${RIG_PIDS[@]}"; do
        kill "$pid" 2>/dev/null
    done
    for name in "${!T_PID[@]}"; do
        pid=${T_PID[$name]}
        for _ in {1..30}; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null
        rm -f "$NOTES_DIR/network-$pid-"*
    done
    for name in "${RIG_NS[@]}"; do
        for pid in $(ip netns pids "$name" 2>/dev/null); do
            kill -KILL "$pid" 2>/dev/null
        done
    done
    wait 2>/dev/null
    for name in "${RIG_NS[@]}"; do
        ip netns del "$name" 2>/dev/null
    done
    for name in "${RIG_SOCKETS[@]}"; do
        rm -f "$name"
    done
    if [[ $status -ne 0 && $status -ne 77 && $status -ne 130 && -n $TMP ]]; then
        for name in "$TMP"/*.log; do
            [[ -s $name ]] || continue
            printf -- '--- %s (last lines)\n' "$(basename "$name")" >&2
            grep -vE '[│┌└]| counter ' "$name" | tail -n 40 >&2
        done
        printf '%s\n' "${RIG_WHY:-}" >&2
    fi
    if [[ -n ${FZ_KEEP:-} ]]; then
        say "kept $TMP"
    elif [[ -n $TMP ]]; then
        rm -rf "$TMP"
    fi
    exit "$status"
}

# What a failed test tells besides the ends of the logs: our counters, and what the kernel counted as wrong.
rig_evidence() {
    local name
    for name in "${!T_PID[@]}"; do
        [[ ${T_IMPL[$name]} == ours ]] || continue
        kill -0 "${T_PID[$name]}" 2>/dev/null || continue
        counters "$name"
        printf -- '--- counters of %s: ' "$name"
        awk '$2 != 0 { printf "%s=%s ", $1, $2 }' "$TMP/$name.counters"
        printf '\n'
    done
    for name in "${RIG_NS[@]}"; do
        printf -- '--- errors in %s: ' "$name"
        ip netns exec "$name" cat /proc/net/snmp6 2>/dev/null |
            awk '$1 ~ /Err|Discard|Unknown|TooBig|NoRoutes|Fails/ && $2 != 0 { printf "%s=%s ", $1, $2 }'
        ip netns exec "$name" cat /proc/net/snmp 2>/dev/null | awk '
            { if (key == $1) for (i = 2; i <= NF; i++) if (k[i] ~ /Err|Discard|NoPorts|Fails/ && $i != 0) printf "%s%s=%s ", $1, k[i], $i
              key = $1; for (i = 2; i <= NF; i++) k[i] = $i }'
        printf '\n'
    done
}

# ---- namespaces, links, processes ----

ns() {
    printf 'fz-%s-%s' "$RIG_OWNER" "$1"
}

tun() {
    printf 'fz%s%s' "$RIG_OWNER" "$1"
}

# in_ns NAME COMMAND...: at most $LIMIT (30) seconds
in_ns() {
    local name=$1
    shift
    ip netns exec "$(ns "$name")" timeout -k 1 "${LIMIT:-30}" "$@"
}

ns_add() { # NAME...
    local name family
    for name in "$@"; do
        ip netns add "$(ns "$name")"
        RIG_NS+=("$(ns "$name")")
        # No duplicate address detection and no router solicitations: addresses work at once and idle links are silent.
        in_ns "$name" sh -c '
            for key in ipv6/conf/all/disable_ipv6 ipv6/conf/default/disable_ipv6 ipv6/conf/all/accept_dad \
                ipv6/conf/default/accept_dad ipv6/conf/default/router_solicitations \
                ipv6/conf/default/accept_ra ipv4/conf/all/rp_filter ipv4/conf/default/rp_filter; do
                [ ! -w /proc/sys/net/$key ] || echo 0 >/proc/sys/net/$key
            done'
        ip -n "$(ns "$name")" link set lo up
    done
}

ns_forward() { # NAME: makes it a router
    in_ns "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

# link NS_A NS_B NET [MTU]: veth "a-b" in a, "b-a" in b; 192.0.NET.1 and .2, 2001:db8:NET::1 and ::2
link() {
    local a=$1 b=$2 net=$3 mtu=${4:-1500}
    ip link add "$a-$b" mtu "$mtu" netns "$(ns "$a")" type veth peer name "$b-$a" mtu "$mtu" netns "$(ns "$b")"
    address "$a" "$a-$b" "192.0.$net.1/24" "2001:db8:$net::1/64"
    address "$b" "$b-$a" "192.0.$net.2/24" "2001:db8:$net::2/64"
}

address() { # NS DEVICE ADDRESS...
    local name=$1 device=$2 it
    shift 2
    for it in "$@"; do
        case $it in
        *:*) ip -n "$(ns "$name")" address add "$it" dev "$device" nodad ;;
        *) ip -n "$(ns "$name")" address add "$it" dev "$device" ;;
        esac
    done
    ip -n "$(ns "$name")" link set "$device" up
}

# spawn NAME NS COMMAND...: in the background, output to $TMP/NAME.log; the process id is in $SPAWNED
spawn() {
    local name=$1 where
    where=$(ns "$2")
    shift 2
    (
        trap - ERR
        exec ip netns exec "$where" "$@"
    ) >>"$TMP/$name.log" 2>&1 </dev/null &
    SPAWNED=$!
    RIG_PIDS+=("$SPAWNED")
}

# finish PID SECONDS: waits for a spawned process and returns its exit code
finish() {
    local pid=$1 tries=$(($2 * 25))
    while kill -0 "$pid" 2>/dev/null && [[ $tries -gt 0 ]]; do
        sleep 0.04
        tries=$((tries - 1))
    done
    if kill -0 "$pid" 2>/dev/null; then
        say "process $pid did not end within $2 s"
        return 124
    fi
    wait "$pid"
}

# eventually SECONDS COMMAND...: true as soon as the command is
eventually() {
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@" >/dev/null 2>&1; do
        [[ $SECONDS -lt $end ]] || return 1
        sleep 0.05
    done
}

# User and system time of a process so far, in ticks (1/100 s).
process_ticks() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || { echo 0; return; }
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    echo $((${12} + ${13}))
}

now_ms() {
    echo $((${EPOCHREALTIME//[.,]/} / 1000))
}

median() { # NUMBER...
    printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# support NAME: path of a helper program, built if the Makefile has not done it
support() {
    local name=$1 source=$ROOT/tests/support/$1.c program=$BUILD/release/support/$1
    if [[ ! -x $program || $source -nt $program ]]; then
        program=${TMPDIR:-/tmp}/fz-support-$(id -u)/$name
        if [[ ! -x $program || $source -nt $program ]]; then
            mkdir -p "$(dirname "$program")"
            "${CC:-cc}" -std=gnu11 -O2 -D_GNU_SOURCE= -I"$ROOT" -o "$program.$RIG_OWNER" "$source" \
                "$ROOT"/platform/base/{blake2s,err,log,log_filter,log_line,stream}.c -lpthread >&2 || fail "cannot build $source"
            mv "$program.$RIG_OWNER" "$program"
        fi
    fi
    printf '%s' "$program"
}

# ---- tunnels ----

# make_key NAME...
make_key() {
    local name
    for name in "$@"; do
        PRIVATE[$name]=$(wg genkey)
        PUBLIC[$name]=$(wg pubkey <<<"${PRIVATE[$name]}")
    done
}

# conf NAME PORT LINE...: starts $TMP/NAME.conf; PORT 0: none
conf() {
    local name=$1 port=$2
    shift 2
    [[ -n ${PRIVATE[$name]:-} ]] || make_key "$name"
    {
        printf '[Interface]\nPrivateKey = %s\n' "${PRIVATE[$name]}"
        [[ $port -eq 0 ]] || printf 'ListenPort = %s\n' "$port"
        [[ $# -eq 0 ]] || printf '%s\n' "$@"
    } >"$TMP/$name.conf"
}

# conf_peer NAME PEER ALLOWED LINE...: adds a peer
conf_peer() {
    local name=$1 peer=$2 allowed=$3
    shift 3
    [[ -n ${PRIVATE[$peer]:-} ]] || make_key "$peer"
    {
        printf '\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\n' "${PUBLIC[$peer]}" "$allowed"
        [[ $# -eq 0 ]] || printf '%s\n' "$@"
    } >>"$TMP/$name.conf"
}

conf_values() { # FILE KEY: the comma-separated values, one a line
    sed -nE "s/^[[:space:]]*$2[[:space:]]*=[[:space:]]*//Ip" "$1" | tr ',' '\n' | tr -d ' \t'
}

require_impl() { # IMPL...
    local impl
    for impl in "$@"; do
        case $impl in
        ours) [[ -x $CLIENT ]] || fail "no $CLIENT: run make first" ;;
        wireguard-go) [[ -x $WIREGUARD_GO ]] || fail "no wireguard-go: run tools/deps.sh check first" ;;
        *) fail "unknown implementation '$impl'" ;;
        esac
    done
}

# tunnel_up NAME NS IMPL [OPTION...]: from $TMP/NAME.conf; the options are for ours. Returns when it is ready.
tunnel_up() {
    local name=$1
    tunnel_start "$@"
    tunnel_wait "$name" || fail "tunnel $name (${T_IMPL[$name]}) did not get ready"
}

tunnel_start() {
    local name=$1 where=$2 impl=$3
    shift 3
    require_impl "$impl"
    T_NS[$name]=$where
    T_IMPL[$name]=$impl
    T_TUN[$name]=$(tun "$name")
    T_LOG[$name]=$TMP/$name.log
    T_CONF[$name]=$TMP/$name.conf
    RIG_SOCKETS+=("$RUN_DIR/${T_TUN[$name]}.sock")
    if [[ $impl == ours ]]; then
        # shellcheck disable=SC2086
        spawn "$name" "$where" "$CLIENT" wireguard --config "${T_CONF[$name]}" --tun "${T_TUN[$name]}" "$@" ${FZ_OPTIONS:-}
    else
        spawn "$name" "$where" env LOG_LEVEL="${GO_LOG_LEVEL:-error}" "$WIREGUARD_GO" -f "${T_TUN[$name]}"
    fi
    T_PID[$name]=$SPAWNED
    unset 'RIG_PIDS[-1]'
}

tunnel_answers() { # NAME
    kill -0 "${T_PID[$1]}" && wg show "${T_TUN[$1]}" listen-port
}

# tunnel_wait NAME: at most 10 s
tunnel_wait() {
    local name=$1 it device where
    for _ in {1..250}; do
        tunnel_answers "$name" >/dev/null 2>&1 && break
        kill -0 "${T_PID[$name]}" 2>/dev/null || return 1
        sleep 0.04
    done
    tunnel_answers "$name" >/dev/null || return 1
    [[ ${T_IMPL[$name]} != ours ]] || {
        eventually 5 grep -q ' INFO main: ' "${T_LOG[$name]}"
        return
    }
    # What wg-quick does for a foreign implementation.
    where=${T_NS[$name]}
    device=${T_TUN[$name]}
    sed -E '/^[[:space:]]*(Address|MTU|Table)[[:space:]]*=/Id' "${T_CONF[$name]}" >"$TMP/$name.setconf"
    wg setconf "$device" "$TMP/$name.setconf"
    it=$(conf_values "${T_CONF[$name]}" MTU)
    ip -n "$(ns "$where")" link set "$device" mtu "${it:-1420}" up
    for it in $(conf_values "${T_CONF[$name]}" Address); do
        address "$where" "$device" "$it"
    done
    for it in $(conf_values "${T_CONF[$name]}" AllowedIPs); do
        [[ -n $(ip -n "$(ns "$where")" route show dev "$device" match "$it") ]] ||
            ip -n "$(ns "$where")" route add "$it" dev "$device"
    done
}

# tunnel_down NAME: SIGTERM; it ends with 0, removes its device and socket. Its log has no warning and its counters no
# error, but those that the extended regular expressions ${T_WARN[NAME]} and ${T_ERRORS[NAME]} allow.
tunnel_down() {
    local name=$1 status=0
    [[ ${T_IMPL[$name]} != ours ]] || counters_clean "$name"
    kill -TERM "${T_PID[$name]}" 2>/dev/null || true
    finish "${T_PID[$name]}" 5 || status=$?
    if [[ $status -eq 124 && ${T_IMPL[$name]} != ours ]]; then
        # wireguard-go sometimes does not end at once on a loaded machine: not what is tested here.
        say "${T_IMPL[$name]} $name is killed"
        tunnel_kill "$name"
        status=0
    fi
    [[ $status -eq 0 ]] || fail "tunnel $name (${T_IMPL[$name]}) ended with $status"
    tunnel_gone "$name"
}

# tunnel_gone NAME: the checks after the end of a tunnel
tunnel_gone() {
    local name=$1 device=${T_TUN[$1]}
    unset "T_PID[$name]"
    ! ip -n "$(ns "${T_NS[$name]}")" link show "$device" >/dev/null 2>&1 || fail "$device is left behind"
    [[ ! -e $RUN_DIR/$device.sock ]] || fail "$RUN_DIR/$device.sock is left behind"
    [[ ${T_IMPL[$name]} != ours ]] || log_clean "$name"
}

# tunnel_kill NAME: without a chance to clean up
tunnel_kill() {
    kill -KILL "${T_PID[$1]}"
    wait "${T_PID[$1]}" 2>/dev/null || true
    rm -f "$NOTES_DIR/network-${T_PID[$1]}-"*
    unset "T_PID[$1]"
    rm -f "$RUN_DIR/${T_TUN[$1]}.sock"
}

log_clean() { # NAME
    local allowed=${T_WARN[$1]:-'^$'} found
    found=$(grep -E ' (WARN|ERROR) ' "${T_LOG[$1]}" | grep -vE "$allowed" || true)
    [[ -z $found ]] || fail "tunnel $1 logged: $found"
}

# Counters that stay 0 when nothing is wrong with sockets, device, keys and order.
ERROR_COUNTERS='out_(malformed|path_lost|send_too_big|no_buffer|denied|no_socket|send_failed|no_source|source_full|handoff_full)|in_(truncated|bad_tag|bad_packet|bad_source|handoff_full|tun_failed|malformed|punt_full|handshake_full)|replay_(old|duplicate)'

counters_clean() { # NAME
    local found
    kill -0 "${T_PID[$1]}" 2>/dev/null || return 0
    counters "$1"
    found=$(grep -E "^($ERROR_COUNTERS) " "$TMP/$1.counters" | grep -vE "${T_ERRORS[$1]:-^$}" | tr '\n' ' ' || true)
    [[ -z $found ]] || fail "tunnel $1 counted errors: $found"
}

# counters_of PID LOG: has one of ours write its counters; a line "NAME VALUE" for each that is not 0
counters_of() {
    local log=$2 from size=-1
    from=$(wc -c <"$log")
    kill -USR1 "$1"
    for _ in {1..50}; do # they come at once, one a line
        sleep 0.02
        [[ $(wc -c <"$log") -ne $from && $(wc -c <"$log") -eq $size ]] && break
        size=$(wc -c <"$log")
    done
    tail -c +$((from + 1)) "$log" | sed -nE 's/^.* counter ([a-z0-9_.]+)=([0-9]+)$/\1 \2/p'
}

# counters NAME: those of a tunnel; `counter` reads them
counters() {
    counters_of "${T_PID[$1]}" "${T_LOG[$1]}" >"$TMP/$1.counters"
}

# counter NAME COUNTER: its value at the last `counters NAME`; 0 if it was not logged
counter() {
    awk -v want="$2" '$1 == want { n += $2 } END { print n + 0 }' "$TMP/$1.counters"
}

# expect_counter NAME COUNTER OPERATOR VALUE (== or >): for ours only; for a foreign end it is true
expect_counter() {
    local value
    [[ ${T_IMPL[$1]} == ours ]] || return 0
    value=$(counter "$1" "$2")
    case $3 in
    '==') [[ $value -eq $4 ]] ;;
    '>') [[ $value -gt $4 ]] ;;
    *) false ;;
    esac || fail "tunnel $1: counter $2 is $value, expected $3 $4"
}

handshake_time() { # NAME PEER: seconds since 1970, 0: never
    wg show "${T_TUN[$1]}" latest-handshakes | awk -v key="${PUBLIC[$2]}" '$1 == key { print $2 }'
}

# ---- the usual pair: namespaces a and b, tunnels a and b ----

# pair_net [MTU]: a and b joined by one link, 192.0.2.1 and 192.0.2.2
pair_net() {
    ns_add a b
    link a b 2 "${1:-1500}"
}

# pair_net_router [MTU_A] [MTU_B]: a - r - b; a is 192.0.2.1, b is 192.0.3.2
pair_net_router() {
    ns_add a r b
    ns_forward r
    link a r 2 "${1:-1500}"
    link r b 3 "${2:-1500}"
    ip -n "$(ns a)" route add default via 192.0.2.2
    ip -n "$(ns a)" route add default via 2001:db8:2::2
    ip -n "$(ns b)" route add default via 192.0.3.1
    ip -n "$(ns b)" route add default via 2001:db8:3::1
    OUTER_B4=192.0.3.2
    OUTER_B6=2001:db8:3::2
}

OUTER_A4=192.0.2.1 OUTER_A6=2001:db8:2::1 OUTER_B4=192.0.2.2 OUTER_B6=2001:db8:2::2
INNER_A4=10.9.0.1 INNER_A6=fd09::1 INNER_B4=10.9.0.2 INNER_B6=fd09::2
PORT_A=51820 PORT_B=51821

# pair_conf OUTER KNOWS [MTU] [PEER_LINE...]: OUTER is 4 or 6, KNOWS says who knows the other's endpoint: a, b or ab
pair_conf() {
    local outer=$1 knows=$2 mtu=${3:-1420} to_a to_b
    local -a lines_a lines_b
    shift $(($# < 3 ? $# : 3))
    lines_a=("$@") lines_b=("$@")
    if [[ $outer -eq 4 ]]; then
        to_a=$OUTER_A4:$PORT_A to_b=$OUTER_B4:$PORT_B
    else
        to_a=[$OUTER_A6]:$PORT_A to_b=[$OUTER_B6]:$PORT_B
    fi
    [[ $knows != *a* ]] || lines_a+=("Endpoint = $to_b")
    [[ $knows != *b* ]] || lines_b+=("Endpoint = $to_a")
    local -a mtu_line=()
    [[ $mtu == auto ]] || mtu_line=("MTU = $mtu")
    conf a $PORT_A "Address = $INNER_A4/24, $INNER_A6/64" "${mtu_line[@]}"
    conf_peer a b "$INNER_B4/32, $INNER_B6/128" "${lines_a[@]}"
    conf b $PORT_B "Address = $INNER_B4/24, $INNER_B6/64" "${mtu_line[@]}"
    conf_peer b a "$INNER_A4/32, $INNER_A6/128" "${lines_b[@]}"
}

# pair_up IMPL_A IMPL_B [OPTION...]
pair_up() {
    local a=$1 b=$2
    shift 2
    tunnel_start a a "$a" "$@"
    tunnel_start b b "$b" "$@"
    tunnel_wait a || fail "tunnel a ($a) did not get ready"
    tunnel_wait b || fail "tunnel b ($b) did not get ready"
}

pair_down() {
    tunnel_down a
    tunnel_down b
}

# pairs [PAIR...]: the pairs "A B" a test goes through, one a line; FZ_IMPL_A and FZ_IMPL_B narrow it to one
pairs() {
    if [[ -n ${FZ_IMPL_A:-}${FZ_IMPL_B:-} ]]; then
        printf '%s %s\n' "${FZ_IMPL_A:-ours}" "${FZ_IMPL_B:-ours}"
    else
        printf '%s\n' "$@"
    fi
}

# backends: the I/O backends this kernel allows, one a line
backends() {
    if [[ ${FZ_IMPL_A:-ours}${FZ_IMPL_B:-ours} != *ours* ]]; then
        echo none
        return
    fi
    echo epoll
    if [[ $(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 2) -eq 0 ]]; then
        echo uring
    else
        say "io_uring is not allowed here: that backend is left out" >&2
    fi
}

# io_option BACKEND: the option words for ours
io_option() {
    [[ $1 == none ]] || printf -- '--io %s' "$1"
}

# ---- traffic ----

# check_ping NS ADDRESS [OPTION...]: three answers of three
check_ping() {
    local where=$1 to=$2
    shift 2
    in_ns "$where" ping -n -q -c 3 -i 0.05 -W 2 "$@" "$to" >"$TMP/ping.out" 2>&1 ||
        fail "ping $to from $where: $(tail -n 3 "$TMP/ping.out" | tr '\n' ' ')"
}

one_ping() { # NS ADDRESS
    in_ns "$1" ping -n -q -c 1 -W 1 "$2"
}

iperf_server() { # NS
    spawn "iperf-$1" "$1" iperf3 --server --forceflush
    eventually 15 iperf_listens "$1" || fail "iperf3 does not listen in $1"
}

iperf_listens() {
    ss -N "$(ns "$1")" -Hltn 'sport = :5201' | grep -q .
}

# mbits NS ADDRESS SECONDS [IPERF_OPTION...]: what the receiver got, Mbit/s; iperf3's report stays in $TMP/iperf.out
mbits() {
    local where=$1 to=$2 seconds=$3
    shift 3
    LIMIT=$((seconds + 15)) in_ns "$where" iperf3 --client "$to" --time "$seconds" --format m --connect-timeout 5000 \
        "$@" >"$TMP/iperf.out" 2>&1 || fail "iperf3 $where -> $to: $(tail -n 2 "$TMP/iperf.out" | tr '\n' ' ')"
    awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i == "Mbits/sec") v = $(i - 1) } END { print int(v + 0.5) }' \
        "$TMP/iperf.out"
}

# check_tcp NS ADDRESS SECONDS [IPERF_OPTION...]: moves at least 1 Mbit/s
check_tcp() {
    local got
    got=$(mbits "$@")
    [[ $got -ge 1 ]] || fail "TCP $1 -> $2 carries nothing: $(tail -n 4 "$TMP/iperf.out")"
    say "  TCP $1 -> $2 ${*:4}: $got Mbit/s"
}

# word KEY FILE: the value of the last "KEY=value" word that a helper program printed
word() {
    tr ' ' '\n' <"$2" | sed -n "s/^$1=//p" | tail -n 1
}

# flow_receiver NAME NS PORT [OPTION...]: in the background; its line comes to $TMP/NAME.log
flow_receiver() {
    local name=$1 where=$2 port=$3
    shift 3
    rm -f "$TMP/$name.log"
    spawn "$name" "$where" "$(support flows)" receive "$port" "$@"
    FLOW_PID[$name]=$SPAWNED
    eventually 15 udp_listens "$where" "$port" || fail "$name does not listen"
}
declare -A FLOW_PID=()

udp_listens() { # NS PORT
    ss -N "$(ns "$1")" -Hlnu "sport = :$2" | grep -q .
}

# flow_sender NAME NS PORT ADDRESSES [OPTION...]: likewise
flow_sender() {
    local name=$1 where=$2
    shift 2
    rm -f "$TMP/$name.log"
    spawn "$name" "$where" "$(support flows)" send "$@"
    FLOW_PID[$name]=$SPAWNED
}

# flow_end NAME SECONDS: waits for either; the receiver's verdict (nothing reordered or damaged) must be good
flow_end() {
    finish "${FLOW_PID[$1]}" "$2" || fail "flows $1: $(cat "$TMP/$1.log")"
}

# ---- counting WireGuard messages on a link ----

# count_messages NS: from now on counts UDP datagrams by message type, in and out
count_messages() {
    local type
    need nft
    {
        echo "table inet fz_count {"
        for type in in_1 in_2 in_3 in_4 out_1 out_2 out_3 out_4; do
            echo "counter $type {}"
        done
        echo "chain input { type filter hook input priority -200;"
        for type in 1 2 3 4; do
            echo "meta l4proto udp @th,64,32 0x0${type}000000 counter name in_$type"
        done
        echo "}"
        echo "chain output { type filter hook output priority -200;"
        for type in 1 2 3 4; do
            echo "meta l4proto udp @th,64,32 0x0${type}000000 counter name out_$type"
        done
        printf "}\n}\n"
    } | in_ns "$1" nft -f - || fail "nftables does not count messages here"
}

messages() { # NS COUNTER: in_1 .. out_4
    in_ns "$1" nft list counter inet fz_count "$2" | awk '/packets/ { print $2 }'
}
