#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Our ICE agent and node against libnice, in both roles: direct and relayed pairs, role conflicts, candidates that come late, paths that
# break, connections that idle. All cases, with an end of each kind, run side by side; tests/support/nice_cases.py has them.
#
#        ours                     router                     libnice
#     [o] 192.0.2.1 ==== 192.0.2.2 [r] 192.0.3.1 ==== 192.0.3.2 [n]
#     2001:db8:2::1      2001:db8:2::2 2001:db8:3::1      2001:db8:3::2
#                        |             |
#                     fzrelay        coturn
#                    ours is its   libnice is its
#                      client         client
#
# The router drops what goes directly between the two for the ports of ours that the cases name. Arguments: the cases to run.
#
# timeout: 90
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 80
need python3 nft turnserver pkg-config
pkg-config --exists nice || skip "libnice is not installed"

FZRELAY=${FZ_RELAY:-$BUILD/fzrelay}
ICE_PEER=${FZ_ICE_PEER:-$BUILD/release/support/ice_peer}
NICE_PEER=${FZ_NICE_PEER:-$BUILD/release/support/nice_peer}
for program in "$FZRELAY" "$ICE_PEER" "$NICE_PEER"; do
    [[ -x $program ]] || fail "no $program: run make all support first"
done
ns_add o r n
ns_forward r
link o r 2
link r n 3
ip -n "$(ns o)" route add default via 192.0.2.2
ip -n "$(ns o)" route add default via 2001:db8:2::2
ip -n "$(ns n)" route add default via 192.0.3.1
ip -n "$(ns n)" route add default via 2001:db8:3::1
# sealed: gets to the relay only, and to nobody else's relayed address.
in_ns r nft -f - <<'NFT' || fail "nftables does not work here"
table inet fz {
    set blocked4 { type inet_service; }
    set blocked6 { type inet_service; }
    set sealed { type inet_service; }
    chain forward {
        type filter hook forward priority 0;
        meta nfproto ipv4 udp sport @blocked4 drop
        meta nfproto ipv4 udp dport @blocked4 drop
        meta nfproto ipv6 udp sport @blocked6 drop
        meta nfproto ipv6 udp dport @blocked6 drop
    }
    chain input {
        type filter hook input priority 0;
        udp sport @sealed udp dport != 3478 drop
    }
}
NFT

spawn relay r "$FZRELAY" --public-ip4 192.0.2.2 --public-ip6 2001:db8:2::2 --stamp-secret "a secret" --lowest-port 50000 \
    --highest-port 50999 --control "$TMP/relay.sock"
eventually 15 grep -qx ready "$TMP/relay.log" || fail "fzrelay does not start: $(cat "$TMP/relay.log")"
spawn coturn r turnserver -n --listening-port 3479 --listening-ip 192.0.3.1 --relay-ip 192.0.3.1 --realm test --lt-cred-mech --user alice:secret \
    --min-port 51000 --max-port 51999 --no-tls --no-dtls --no-cli --log-file stdout --pidfile "$TMP/coturn.pid" \
    --userdb "$TMP/turndb"
eventually 15 udp_listens r 3479 || fail "coturn does not listen: $(cat "$TMP/coturn.log")"

# A signal to this shell would wait for its end.
timeout -k 1 70 python3 "$ROOT/tests/support/nice_cases.py" "$TMP" "$FZRELAY" "$ICE_PEER" "$NICE_PEER" "$(ns o)" "$(ns r)" "$(ns n)" "$@" ||
    fail "the cases"
rig_end
