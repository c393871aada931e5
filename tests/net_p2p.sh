#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A client reaches a resource behind a gateway through NATs of all kinds: directly, through holes that both punch, or by the
# relay. The first packet asks for access, and is not lost; TCP runs both ways; nothing of it needs a look at the clock.
#
#     [cI] == [cI_1] == [core] == [gI_1] == [gI]     and [s], portal and relay, at core
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"

rig_begin 170
require_impl ours
p2p_begin 12

at=0
# reach CLIENT GATEWAY PATH: kinds with options, and what the client says in the end ("*": any path through a relay)
reach() {
    at=$((at + 1))
    p2p_pair $at "$1" "$2"
    p2p_ping $at
    if [[ $3 == "*" ]]; then
        [[ $(p2p_path $at) == *relay* ]] || fail "c$at goes $(p2p_path $at)"
    else
        p2p_expect $at 5 "$3"
    fi
    p2p_load $at 10M
    p2p_end $at
    say "$1 to $2: $(p2p_path $at)"
}
reach "none" "none" "peer to peer"
reach "easy v4" "easy v4" "peer to peer"
reach "hard v4" "cone v4" "peer to peer"
reach "easy v4" "none v4" "peer to peer"
reach "hard v4" "easy v4" "*"
reach "hard v4" "hard v4" "*"
reach "hard dual" "hard dual" "peer to peer" # by IPv6
reach "none v6" "none v6" "peer to peer"
reach "none v4" "none v6" "*" # the relay has both families
reach "easy v4 lan=90" "easy v4 lan=90" "peer to peer" # both have the same address at home

kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
