#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The client changes its network under load: SIGHUP alone, two of them within a second, another interface behind another router with SIGHUP, and a new
# address without anybody telling it. A TCP transfer inside the tunnel goes on, byte by byte; a datagram every 10 ms shows how
# long the tunnel is silent. fzportal has the real portal's limits: one connection per second.
#
#     [c1] == [c1_1] or [c1_2] == [core] == [g1_1] == [g1]     and [s], portal and relay, at core
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"

ROAMS=10
IN_FLIGHT=25 # a quarter of a second of probes, which the relay may still have
rig_begin 240
require_impl ours

# roam KIND: once
roam() {
    case $1 in
    hangup) kill -HUP "${CLIENT_PID[c1]}" ;;
    twice) kill -HUP "${CLIENT_PID[c1]}" && sleep 0.4 && kill -HUP "${CLIENT_PID[c1]}" ;;
    swap) nat_swap c1 && kill -HUP "${CLIENT_PID[c1]}" ;;
    address) nat_readdress c1 ;;
    esac
}

# silence KIND: milliseconds without a probe, for each of the roams, sorted
silence() {
    local i gap missing
    : >"$TMP/gaps"
    for ((i = 0; i < ROAMS; i++)); do
        # A port of its own: what was kept for the last one must not count.
        flow_receiver probe-in g1 $((7000 + i)) -t 10 -i 10000
        flow_sender probe-out c1 $((7000 + i)) 10.20.1.1 -f 1 -r 100 -s 64 -t 2.4
        sleep 0.6
        roam "$1"
        flow_end probe-out 10
        sleep 0.1
        kill -TERM "${FLOW_PID[probe-in]}"
        finish "${FLOW_PID[probe-in]}" 10 || true # a better path, which is the second one now and then, overtakes the first
        [[ $(word corrupt "$TMP/probe-in.log") -eq 0 && $(word duplicates "$TMP/probe-in.log") -eq 0 &&
            $(word reordered "$TMP/probe-in.log") -le $IN_FLIGHT ]] || fail "$1: $(cat "$TMP/probe-in.log")"
        gap=$(word gap_ms "$TMP/probe-in.log")
        # Of a silence that did not end the receiver knows nothing.
        missing=$((($(word sent "$TMP/probe-out.log") + $(word refused "$TMP/probe-out.log") - $(word received "$TMP/probe-in.log")) * 10))
        echo $((gap > missing ? gap : missing)) >>"$TMP/gaps"
    done
    sort -n "$TMP/gaps" -o "$TMP/gaps"
}

p2p_begin 1
nat_host c1 easy v4
nat_host g1 easy v4
p2p_gateway 1
p2p_client 1
p2p_ping 1 2
signed_in() {
    grep -c "signed in" "$TMP/c1.log"
}

for kind in ${KINDS:-hangup twice swap address}; do
    allowed=1000 limit=2000
    # The portal lets nobody in twice within a second.
    [[ $kind != twice ]] || allowed=2000 limit=3000
    [[ $kind != swap ]] || nat_drop c1 g1 # by the relay from here on
    [[ $kind != address ]] || nat_undrop c1 g1
    spawn sums g1 python3 "$ROOT/tests/support/steady.py" serve 10.20.1.1 8000 $((ROAMS * 4))
    server=$SPAWNED
    eventually 5 in_ns g1 sh -c "ss -Hltn | grep -q :8000" || fail "the server does not start"
    spawn fetch c1 python3 "$ROOT/tests/support/steady.py" fetch 10.20.1.1 8000
    client=$SPAWNED
    before=$(signed_in)
    silence "$kind"
    sessions=$(($(signed_in) - before))
    [[ $kind == twice || $sessions -eq $ROAMS ]] || fail "$kind: $sessions connections to the portal for $ROAMS roams"
    median=$(sed -n "$((ROAMS / 2))p" "$TMP/gaps")
    worst=$(tail -n 1 "$TMP/gaps")
    say "$kind: silent for $median ms in the median of $ROAMS, $worst ms at most ($(tr '\n' ' ' <"$TMP/gaps"))"
    [[ $median -le $allowed && $worst -le $limit ]] || fail "$kind: silent for too long"
    finish "$server" 30 || fail "the TCP server ended with $?: $(cat "$TMP/sums.log")"
    finish "$client" 30 || fail "the TCP connection did not survive: $(cat "$TMP/fetch.log")"
    [[ $(tail -n 1 "$TMP/sums.log") == $(tail -n 1 "$TMP/fetch.log") ]] || fail "$kind: other bytes arrived than were sent"
done
p2p_end 1
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
