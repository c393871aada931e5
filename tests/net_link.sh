#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `fzlink` does what it is told, counts what it did, and leaves nothing behind.
#
#     [a] link0 192.0.2.1 ==== fzlink ==== 192.0.2.2 link0 [b]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 120

[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "says nothing about tunnels"
FZLINK=$BUILD/fzlink
[[ -x $FZLINK ]] || skip "there is no $FZLINK"
SOCKET=$TMP/control
ns_add a b

# link_up [OPTION...]: from the host's namespace; its process id is in $LINK
link_up() {
    : >"$TMP/link.log" # not to be ready by what the last one said
    "$FZLINK" --a "$(ns a):link0:192.0.2.1/24,2001:db8::1/64" --b "$(ns b):link0:192.0.2.2/24,2001:db8::2/64" \
        --control "$SOCKET" "$@" >"$TMP/link.log" 2>&1 &
    LINK=$!
    RIG_PIDS+=("$LINK")
    eventually 5 grep -qx ready "$TMP/link.log" || fail "fzlink $*: $(cat "$TMP/link.log")"
}

# It has ended, by itself or not: its process id may be somebody else's soon.
link_forget() {
    local i
    for i in "${!RIG_PIDS[@]}"; do
        [[ ${RIG_PIDS[$i]} -ne $LINK ]] || unset "RIG_PIDS[$i]"
    done
}

devices_gone() {
    ! ip -n "$(ns a)" link show link0 >/dev/null 2>&1 && ! ip -n "$(ns b)" link show link0 >/dev/null 2>&1
}

# link_down SIGNAL CODE
link_down() {
    local status=0
    kill -"$1" "$LINK"
    finish "$LINK" 5 2>/dev/null || status=$?
    [[ $status -eq $2 ]] || fail "SIG$1: exit code $status, not $2: $(cat "$TMP/link.log")"
    eventually 2 devices_gone || fail "SIG$1: a device is left"
    [[ $1 == KILL ]] || [[ ! -e $SOCKET ]] || fail "SIG$1: $SOCKET is left"
    [[ $(cat "$TMP/link.log") == ready ]] || fail "SIG$1: it said more: $(cat "$TMP/link.log")"
    link_forget
}

ctl() {
    "$FZLINK" ctl --control "$SOCKET" "$@"
}

value_of() { # DIRECTION NAME: out of an answer
    awk -v direction="\"$1\":" -v name="\"$2\":" '$2 == "{" { here = $1 == direction }
        here && $1 == name { gsub(/[",]/, "", $2); print $2 }'
}

stat_of() { # DIRECTION COUNTER
    local value
    value=$(ctl stats | value_of "$1" "$2")
    [[ $value =~ ^[0-9]+$ ]] || fail "there is no counter $2 of $1: $(ctl stats)"
    echo "$value"
}

# pings COUNT INTERVAL ADDRESS: sets RECEIVED, DUPLICATES, RTT (average) and RTT_MIN, in us
pings() {
    in_ns a ping -n -q -c "$1" -i "$2" -W 2 "$3" >"$TMP/ping.out" 2>&1 || true
    RECEIVED=$(sed -nE 's/.* ([0-9]+) received.*/\1/p' "$TMP/ping.out")
    DUPLICATES=$(sed -nE 's/.*\+([0-9]+) duplicates.*/\1/p' "$TMP/ping.out")
    RTT_MIN=$(awk -F'[ /]' '/^rtt/ { printf "%d", $7 * 1000 }' "$TMP/ping.out")
    RTT=$(awk -F'[ /]' '/^rtt/ { printf "%d", $8 * 1000 }' "$TMP/ping.out")
    [[ -n $RECEIVED ]] || fail "ping says: $(cat "$TMP/ping.out")"
}

# refused CODE PATTERN ARGUMENT...: one line that says why
refused() {
    local code=$1 pattern=$2 status=0
    shift 2
    "${before_it[@]}" timeout 10 "$FZLINK" "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
    [[ $status -eq $code ]] || fail "fzlink $*: exit code $status, not $code: $(cat "$TMP/err")"
    grep -qE "$pattern" "$TMP/err" || fail "fzlink $*: the message is not clear: $(cat "$TMP/err")"
    [[ $(wc -l <"$TMP/err") -eq 1 ]] || fail "fzlink $*: more than one line: $(cat "$TMP/err")"
    say "  $(cat "$TMP/err")"
}

say "what cannot work"
before_it=()
refused 1 "no network namespace $(ns c)" --a "$(ns c):link0:192.0.2.1/24" --b "$(ns b):link0:192.0.2.2/24"
refused 1 "no process 999999999" --a 999999999:link0:192.0.2.1/24 --b "$(ns b):link0:192.0.2.2/24"
refused 1 "not a valid|no valid" --a "$(ns a):l/0:192.0.2.1/24" --b "$(ns b):link0:192.0.2.2/24"
refused 2 "delay: '10' is not" --a "$(ns a):link0:192.0.2.1/24" --b "$(ns b):link0:192.0.2.2/24" --delay 10
refused 1 "nobody listens" ctl --control "$SOCKET" stats
devices_gone || fail "a failed start leaves a device"
if command -v setpriv >/dev/null; then
    before_it=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    refused 1 "run as root" --a "$(ns a):link0:192.0.2.1/24" --b "$(ns b):link0:192.0.2.2/24"
    before_it=()
fi

say "nothing set"
link_up
pings 20 0.02 192.0.2.2
[[ $RECEIVED -eq 20 && $RTT -lt 20000 ]] || fail "20 pings: $(cat "$TMP/ping.out")"
pings 20 0.02 2001:db8::2
[[ $RECEIVED -eq 20 ]] || fail "20 pings, IPv6: $(cat "$TMP/ping.out")"
refused 1 "link0 already exists" --a "$(ns a):link0:192.0.2.1/24" --b "$(ns b):link1:192.0.2.2/24"
refused 1 "in use|answers|another process" --a "$(ns a):link1:192.0.2.1/24" --b "$(ns b):link1:192.0.2.2/24" --control "$SOCKET"

say "delay, and changes while it runs"
ctl set delay=10ms >/dev/null
pings 20 0.05 192.0.2.2
[[ $RECEIVED -eq 20 && $RTT_MIN -ge 20000 && $RTT_MIN -lt 30000 ]] || fail "10 ms each way: $(cat "$TMP/ping.out")"
say "  10 ms each way: least RTT $RTT_MIN us, average $RTT us"
ctl set delay=1ms/40ms jitter=1ms/0 >"$TMP/show"
[[ $(value_of b_to_a delay <"$TMP/show") == 40ms ]] || fail "set does not say what holds: $(cat "$TMP/show")"
pings 20 0.05 192.0.2.2
[[ $RECEIVED -eq 20 && $RTT_MIN -ge 40000 && $RTT_MIN -lt 50000 ]] || fail "0-2 and 40 ms: $(cat "$TMP/ping.out")"
say "  0-2 and 40 ms: least RTT $RTT_MIN us, average $RTT us"
refused 1 "jitter is at most the delay" ctl --control "$SOCKET" set delay=0
[[ $(ctl show | value_of a_to_b delay) == 1ms ]] || fail "a refused change holds"

say "loss and duplicates"
ctl set delay=1ms jitter=0 loss=10%/5% >/dev/null
lost_before=$(($(stat_of a_to_b lost) + $(stat_of b_to_a lost)))
pings 400 0.005 192.0.2.2
lost=$(($(stat_of a_to_b lost) + $(stat_of b_to_a lost) - lost_before))
[[ $((400 - RECEIVED)) -eq $lost ]] || fail "ping misses $((400 - RECEIVED)), fzlink lost $lost"
[[ $lost -ge 20 && $lost -le 110 ]] || fail "of 400 pings $lost are lost, not about 58"
say "  of 400 pings $lost are lost, by either count"
ctl set loss=0 duplicate=0/100% >/dev/null
pings 20 0.01 192.0.2.2
[[ $RECEIVED -eq 20 && ${DUPLICATES:-0} -ge 19 ]] || fail "all answers doubled: $(cat "$TMP/ping.out")"
ctl set duplicate=0 reorder=20% delay=20ms >/dev/null
pings 100 0.005 192.0.2.2
[[ $RECEIVED -eq 100 && $(stat_of a_to_b reordered) -gt 0 ]] || fail "nothing was reordered: $(ctl stats)"
ctl set reorder=0 >/dev/null

say "TCP with a rate"
iperf_server b
ctl set delay=5ms rate=20mbit queue=64KB >/dev/null
got=$(mbits a 192.0.2.2 3)
[[ $got -ge 8 && $got -le 20 ]] || fail "TCP over 20 Mbit/s: $got Mbit/s"
[[ $(stat_of a_to_b queue_bytes_max) -le 64000 ]] || fail "the queue was longer than its limit: $(ctl stats)"
[[ $(stat_of a_to_b dropped_queue) -gt 0 ]] || fail "the queue was never full: $(ctl stats)"
say "  $got Mbit/s of 20, $(stat_of a_to_b dropped_queue) packets dropped by the queue of 64 KB"
ctl set rate=none delay=0 >/dev/null
free=$(mbits a 192.0.2.2 2 --reverse)
[[ $free -gt 40 ]] || fail "TCP without a rate: $free Mbit/s"
say "  without a rate $free Mbit/s"
for it in malformed refused dropped_full; do
    [[ $(stat_of a_to_b $it) -eq 0 && $(stat_of b_to_a $it) -eq 0 ]] || fail "$it is not 0: $(ctl stats)"
done
used=$(process_ticks "$LINK")
sleep 0.5
[[ $(($(process_ticks "$LINK") - used)) -lt 10 ]] || fail "it is busy while nothing passes"

say "every end"
link_down TERM 0
for it in 'INT 0' 'HUP 0' 'KILL 137' 'TERM 0'; do
    link_up --delay 5s
    in_ns a ping -n -q -c 5 -i 0.01 -W 1 192.0.2.2 >"$TMP/ping.out" 2>&1 || true # they are on their way now
    # shellcheck disable=SC2086
    link_down $it
done

say "without offloads, by process id"
spawn sleeper b sleep 60
"$FZLINK" --a "$(ns a):link0:192.0.2.1/24" --b "$SPAWNED:link0:192.0.2.2/24" --offloads off --mtu 1400 --delay 1ms \
    --control "$SOCKET" >"$TMP/link.log" 2>&1 &
LINK=$!
RIG_PIDS+=("$LINK")
eventually 5 grep -qx ready "$TMP/link.log" || fail "fzlink: $(cat "$TMP/link.log")"
check_tcp a 192.0.2.2 1
[[ $(stat_of a_to_b frames_in) -eq $(stat_of a_to_b offered) ]] || fail "frames are not packets: $(ctl stats)"
! in_ns a ping -n -q -c 1 -W 1 -M 'do' -s 1373 192.0.2.2 >/dev/null 2>&1 || fail "a packet of 1401 bytes passes"
in_ns a ping -n -q -c 1 -W 2 -M 'do' -s 1372 192.0.2.2 >/dev/null || fail "a packet of 1400 bytes does not pass"

say "a device that is taken away"
ip -n "$(ns b)" link del link0
status=0
finish "$LINK" 5 2>/dev/null || status=$?
[[ $status -eq 1 ]] || fail "exit code $status, not 1"
grep -q 'device of the link has been taken away' "$TMP/link.log" || fail "it does not say why it ends: $(cat "$TMP/link.log")"
devices_gone || fail "a device is left"
link_forget
rig_end
