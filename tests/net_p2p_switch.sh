#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From the relay to a direct path under load, in both directions: not one datagram is lost or doubled by the change of path, and
# none is overtaken but by what the old path still had in flight.
#
#     [c1] == [c1_1] == [core] == [g1_1] == [g1]     and [s], portal and relay, at core
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"

IN_FLIGHT=20 # datagrams at 1,000 per second: 20 ms, of which a busy machine needs some
rig_begin 60
require_impl ours
p2p_begin 1
nat_host c1 none v4
nat_host g1 none v4
nat_drop c1 g1
p2p_gateway 1
p2p_client 1
p2p_ping 1 2
[[ $(p2p_path 1) == *relay* ]] || fail "c1 goes $(p2p_path 1)"
inner=$(sed -nE 's/.*our addresses are ([0-9.]+) .*/\1/p' "$TMP/c1.log" | tail -n 1)

spawn up-in g1 "$(support flows)" receive 7000 -t 15 -i 2000
declare -A RECEIVER=([up]=$SPAWNED)
spawn down-in c1 "$(support flows)" receive 7001 -t 15 -i 2000
RECEIVER[down]=$SPAWNED
eventually 5 udp_listens g1 7000 || fail "g1 does not listen"
eventually 5 udp_listens c1 7001 || fail "c1 does not listen"
flow_sender up-out c1 7000 10.20.1.1 -f 4 -r 1000 -s 400 -t 5
flow_sender down-out g1 7001 "$inner" -f 4 -r 1000 -s 400 -t 5
sleep 1
nat_undrop c1 g1
p2p_expect 1 4 "peer to peer"
flow_end up-out 10
flow_end down-out 10
for name in up down; do
    finish "${RECEIVER[$name]}" 15 || true # it says that something was overtaken
    line=$(tail -n 1 "$TMP/$name-in.log")
    say "$name: $(cat "$TMP/$name-out.log"); $line"
    [[ $(word sent "$TMP/$name-out.log") -eq $(word received "$TMP/$name-in.log") ]] || fail "$name: datagrams are lost"
    [[ $(word lost "$TMP/$name-in.log") -eq 0 && $(word duplicates "$TMP/$name-in.log") -eq 0 && $(word corrupt "$TMP/$name-in.log") -eq 0 ]] ||
        fail "$name: $line"
    [[ $(word reordered "$TMP/$name-in.log") -le $IN_FLIGHT ]] || fail "$name: too many were overtaken: $line"
done
p2p_end 1
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
