#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A client and a gateway, both behind NATs with another port for every destination, whose only relay is coturn: TCP in both
# directions; coturn is started anew in the middle of a transfer; nonces that have become stale when channels are needed.
#
#     [c1] == [c1_1] == [core] == [g1_1] == [g1]     and [s], portal and coturn, at core
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
need turnserver
RELAY4=192.0.21.2 # the address of s, the first host

coturn() { # NAME OPTION...: until it listens
    spawn "$1" s turnserver -n --listening-ip=$RELAY4 --relay-ip=$RELAY4 --no-tls --no-dtls --no-cli --realm=firezone --lt-cred-mech \
        --user=alice:secret --pidfile="$TMP/coturn.pid" --userdb="$TMP/coturn.db" --verbose --log-file=stdout "${@:2}"
    COTURN_PID=$SPAWNED
    eventually 15 udp_listens s 3478 || fail "coturn does not listen: $(tail -n 5 "$TMP/$1.log")"
}

# It does not end by itself after SIGTERM, but of the signal.
coturn_end() {
    local status=0
    kill -TERM "$COTURN_PID"
    finish "$COTURN_PID" 5 || status=$?
    [[ $status -eq 0 || $status -eq 143 ]] || fail "coturn ended with $status"
}

# transfer_begin SECONDS: a TCP connection through the tunnel, from the gateway's host to the client's
transfer_begin() {
    spawn sums g1 python3 "$ROOT/tests/support/steady.py" serve 10.20.1.1 8000 "$1"
    SERVER=$SPAWNED
    eventually 5 in_ns g1 sh -c "ss -Hltn | grep -q :8000" || fail "the server does not start"
    spawn fetch c1 python3 "$ROOT/tests/support/steady.py" fetch 10.20.1.1 8000
    FETCH=$SPAWNED
}

transfer_end() { # SECONDS
    finish "$SERVER" "$1" || fail "the TCP server ended with $?: $(cat "$TMP/sums.log")"
    finish "$FETCH" 10 || fail "the TCP connection did not survive: $(cat "$TMP/fetch.log")"
    [[ $(tail -n 1 "$TMP/sums.log") == $(tail -n 1 "$TMP/fetch.log") ]] || fail "other bytes arrived than were sent"
}

errors() { # NAME CODE: how often coturn has answered so
    grep -c "processed, error $2:" "$TMP/$1.log" || true
}

P2P_CONFIG="[relay coturn]
ipv4 = $RELAY4
username = alice
password = secret
"
find /var/lib/turn /var/log /var/run /run /var/tmp -iname '*turn*' 2>/dev/null | sort -u >"$TMP/before"
p2p_portal 1
[[ ${NAT_ADDR4[s]} == "$RELAY4" ]] || fail "s is at ${NAT_ADDR4[s]}"
coturn one
p2p_pair 1 "hard v4" "hard v4"
p2p_ping 1
p2p_path_is 1 "relay to relay" || fail "c1 goes $(p2p_path 1)"
p2p_load 1 20M

say "coturn starts anew during a transfer"
transfer_begin 8
sleep 2
coturn_end
coturn two --stale-nonce=5
transfer_end 60
[[ $(errors two 437) -ge 2 ]] || fail "both allocations should be gone: $(grep processed "$TMP/two.log")"
p2p_path_is 1 "relay to relay" || fail "c1 goes $(p2p_path 1)"

say "the client gets another address, when all nonces are stale"
sleep 6
stale=$(errors two 438)
transfer_begin 6
sleep 1
nat_readdress c1
transfer_end 60
[[ $(errors two 438) -gt $stale ]] || fail "no nonce was stale: $(grep processed "$TMP/two.log")"
p2p_load 1 10M
p2p_path_is 1 "relay to relay" || fail "c1 goes $(p2p_path 1)"
p2p_end 1
coturn_end
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
find /var/lib/turn /var/log /var/run /run /var/tmp -iname '*turn*' 2>/dev/null | sort -u | cmp -s - "$TMP/before" || fail "coturn has left files outside"
rig_end
