#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What may go wrong between a client and a gateway while they are connected: the UDP port is taken, a peer is unreachable, a
# path breaks silently, the relay forgets, gets another secret, ends or dies, the portal is away, the gateway ends or dies.
#
#     [cI] == [cI_1] == [core] == [gI_1] == [gI]     and [s], portal and relay, and [r], another relay, at core
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"

rig_begin 200
require_impl ours
PORT=52625

# answers I ADDRESS SECONDS: within this time one is there
answers() {
    local began
    began=$(now_ms)
    eventually "$3" one_ping "c$1" "$2" || fail "c$1 does not reach $2 within $3 s: $(tail -n 60 "$TMP/c$1.log")"
    say "    an answer after $(($(now_ms) - began)) ms"
}

# port_of NAME FAMILY: of its UDP socket
port_of() {
    ss -N "$(ns "$1")" -Hlnu "-$2" -p | sed -nE 's/.*[]:0.]:([0-9]+) .*pid='"${CLIENT_PID[$1]}"',.*/\1/p' | sort -u | paste -sd ' '
}

# path_to I GATEWAY: how the client sends to this gateway now
path_to() {
    sed -nE "s/.*(connected to gateway $2,|the path to gateway $2 is now) ([a-z ]+):.*/\\2/p" "$TMP/c$1.log" | tail -n 1
}

path_to_is() { # I GATEWAY TEXT...
    local it
    for it in "${@:3}"; do
        [[ $(path_to "$1" "$2") != "$it" ]] || return 0
    done
    return 1
}

# last_gateway I: the id of the one that the client was connected to last
last_gateway() {
    sed -nE 's/.* connected to gateway ([-0-9a-f]+),.*/\1/p' "$TMP/c$1.log" | tail -n 1
}

# by_relay I: the client goes by a relay; how often it has had a new path is in PATHS
by_relay() {
    [[ $(p2p_path "$1") == *relay* ]] || fail "c$1 goes $(p2p_path "$1")"
    PATHS=$(paths "$1")
}

paths() { # I
    grep -cE ": (connected|the path) to gateway" "$TMP/c$1.log"
}

# by_another_relay I SECONDS: the same within this time, by another path than at the last look, and there are answers
by_another_relay() {
    local began
    began=$(now_ms)
    eventually "$2" has_moved "$1" || fail "c$1 goes as before, $(p2p_path "$1"): $(tail -n 20 "$TMP/c$1.log")"
    eventually "$2" one_ping "c$1" "10.20.$1.1" || fail "c$1 has another path, but no answers: $(tail -n 20 "$TMP/c$1.log")"
    by_relay "$1"
    say "    a path after $(($(now_ms) - began)) ms"
}

has_moved() { # I
    [[ $(paths "$1") -gt $PATHS ]]
}

# has_relay I HOST TIMES: client and gateway have been given this relay so often
has_relay() {
    local name
    for name in "c$1" "g$1"; do
        eventually 15 given_relay "$name" "${NAT_ADDR4[$2]}" "$3" || fail "$name does not hear of the relay: $(tail -n 20 "$TMP/$name.log")"
    done
}

given_relay() { # NAME ADDRESS TIMES
    [[ $(grep -c " relay $2:3478.*: new" "$TMP/$1.log") -ge $3 ]]
}

unreachable() { # NAME: how many ICMP destination unreachable came
    in_ns "$1" cat /proc/net/snmp | awk '/^Icmp: [0-9]/ { print $5 }'
}

# errors_of I: what the client has counted of failures
errors_of() {
    local name=c$1 before
    before=$(grep -c "counter loops=" "$TMP/$name.log" || true)
    kill -USR1 "${CLIENT_PID[$name]}"
    client_says "$name" 5 "counter loops=" $((before + 1))
    sleep 0.2 # all of them are written at once
    tac "$TMP/$name.log" | sed -nE '/counter (out_forwarded|in_forwarded)=/q; s/.* counter (('"$ERROR_COUNTERS"'|control_failed|keepalives_failed)=[0-9]+)$/\1/p' |
        sort | paste -sd ' '
}

p2p_begin 8

say "a gateway is killed, another one ends: first half"
p2p_pair 7 "easy v4" "easy v4"
p2p_pair 8 "easy v4" "easy v4"
p2p_ping 7
p2p_ping 8
kill -KILL "${CLIENT_PID[g7]}"
wait "${CLIENT_PID[g7]}" 2>/dev/null || true
spawn demand c7 ping -q -i 0.5 -w 50 10.20.7.1
DEMAND=$SPAWNED
client_end g8 0
client_says c8 5 " has ended: "
p2p_gateway 7 # the client does not know yet that its gateway is another
p2p_gateway 8
answers 8 10.20.8.1 15

say "port $PORT is taken, in one family"
nat_host c1 easy v4
nat_host g1 easy v4
spawn holder c1 python3 -c "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', $PORT))
print('held', flush=True)
time.sleep(200)"
HOLDER=$SPAWNED
eventually 5 grep -qx held "$TMP/holder.log" || fail "the port cannot be held"
p2p_gateway 1
p2p_client 1
[[ $(port_of c1 4) =~ ^[0-9]+$ && $(port_of c1 4) != "$PORT" ]] || fail "the client's IPv4 port is $(port_of c1 4)"
[[ $(port_of c1 6) == "$PORT" ]] || fail "the client's IPv6 port is $(port_of c1 6)"
p2p_ping 1
p2p_expect 1 5 "peer to peer"
kill "$HOLDER"

say "IPv6 breaks silently"
p2p_pair 6 "none dual" "none dual"
p2p_ping 6
p2p_expect 6 5 "peer to peer"
grep -qE "connected to gateway .*\[2001:|is now peer to peer: \[2001:" "$TMP/c6.log" || fail "not by IPv6: $(tail -n 5 "$TMP/c6.log")"
in_ns core nft -f - <<'RULES'
table inet fz_silence {
    chain forward { type filter hook forward priority 10; policy accept;
        iifname { c6_1, g6_1 } oifname { c6_1, g6_1 } meta nfproto ipv6 meta l4proto udp drop
    }
}
RULES
answers 6 10.20.6.1 40
eventually 40 grep -qE "is now peer to peer: 192" "$TMP/c6.log" || fail "not by IPv4: $(tail -n 5 "$TMP/c6.log")"

say "a gateway is unreachable, says ICMP; another one is not"
p2p_pair 2 "easy dual" "none v4" # without IPv6 its BINDINGs to the relay would fail by that
nat_host g3 none v4
p2p_gateway 3
p2p_ping 2
eventually 5 p2p_path_is 2 "peer to peer" || fail "c2 goes $(p2p_path 2)"
GATEWAY2=$(last_gateway 2)
answers 2 10.20.3.1 10
GATEWAY3=$(last_gateway 2)
[[ $GATEWAY2 != "$GATEWAY3" ]] || fail "c2 is connected to one gateway"
eventually 5 path_to_is 2 "$GATEWAY3" "peer to peer" || fail "c2 goes $(path_to 2 "$GATEWAY3") to the other"
errors=$(errors_of 2)
flow_receiver flow-in g3 7000 -t 30 -i 3000
flow_sender flow-out c2 7000 10.20.3.1 -f 1 -r 200 -s 200 -t 8
sleep 1
nat_reject c2 "${NAT_ADDR4[g2]}" $PORT
answers 2 10.20.2.1 40
eventually 40 path_to_is 2 "$GATEWAY2" "relay to peer" "peer to relay" "relay to relay" || fail "c2 goes $(path_to 2 "$GATEWAY2")"
[[ $(unreachable c2) -gt 0 ]] || fail "no ICMP came"
flow_end flow-out 15
flow_end flow-in 15
[[ $(word lost "$TMP/flow-in.log") -eq 0 ]] || fail "the other one lost some: $(cat "$TMP/flow-in.log")"
[[ $(word received "$TMP/flow-in.log") -eq $(word sent "$TMP/flow-out.log") ]] ||
    fail "the other one got less: $(cat "$TMP/flow-in.log" "$TMP/flow-out.log")"
path_to_is 2 "$GATEWAY3" "peer to peer" || fail "the other gateway is now reached $(path_to 2 "$GATEWAY3")"
[[ $(errors_of 2) == "$errors" ]] || fail "the socket has suffered: '$(errors_of 2)' instead of '$errors'"

say "the relay forgets all allocations"
p2p_pair 4 "hard v4" "hard v4"
p2p_ping 4
by_relay 4
relay_ctl s drop all=true
by_another_relay 4 40

say "the relay gets another secret"
relay_ctl s secret secret=another
has_relay 4 s 2
by_another_relay 4 40

say "the only relay ends, and is back after 3 s"
relay_end s
sleep 3
! one_ping c4 10.20.4.1 >/dev/null || fail "there is another way"
relay_start s
by_another_relay 4 40

say "of two relays that are used one dies"
nat_host r none
relay_start r
has_relay 4 r 1
kill -KILL "${RELAY_PID[s]}"
wait "${RELAY_PID[s]}" 2>/dev/null || true
by_another_relay 4 40

say "the other does not answer any more"
relay_start s
has_relay 4 s 4
relay_ctl r freeze
by_another_relay 4 40
relay_ctl r thaw

say "the portal stands still for a while"
ctl freeze all=true
spawn first c4 ping -q -c 1 -W 40 10.20.1.1
FIRST=$SPAWNED
in_ns c4 ping -q -i 0.1 -c 40 -W 2 10.20.4.1 >"$TMP/ping" || fail "no traffic without the portal: $(cat "$TMP/ping")"
grep -q "40 received" "$TMP/ping" || fail "lost without the portal: $(cat "$TMP/ping")"
kill -0 "$FIRST" 2>/dev/null || fail "access without the portal: $(cat "$TMP/first.log")"
ctl thaw all=true
finish "$FIRST" 40 || fail "the first packet was not answered: $(cat "$TMP/first.log" "$TMP/c4.log")"

say "the portal is away for a while"
ctl stop
spawn first c4 ping -q -i 1 -w 5 10.20.2.1
FIRST=$SPAWNED
in_ns c4 ping -q -i 0.1 -c 40 -W 2 10.20.4.1 >"$TMP/ping" || fail "no traffic without the portal: $(cat "$TMP/ping")"
grep -q "40 received" "$TMP/ping" || fail "lost without the portal: $(cat "$TMP/ping")"
! finish "$FIRST" 10 || fail "access without the portal: $(cat "$TMP/first.log")"
ctl start
answers 4 10.20.2.1 60 # the gateway may come back after the client

say "a gateway is killed: second half"
finish "$DEMAND" 60 || fail "c7 has not reached the gateway again: $(cat "$TMP/demand.log" "$TMP/c7.log")"
client_says c7 0 " has ended: "
answers 7 10.20.7.1 5

for it in 1 2 4 6 7 8; do
    p2p_end $it
done
client_end g3 0
relay_end r
relay_end s
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end
