#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A resource is reached by its name in whatever way client and gateway find to each other: directly, by the relay, by either
# family of addresses, and where every fifth datagram is lost.
# timeout: 300
#
#     [c1] == [NAT] == . . . == [NAT] == [g1] -- [n1: *.corp.test]     and [s], portal and relay
#
#   net_names_paths.sh [CASE]      all of them, each in a rig of its own, or one
set -euo pipefail

# CASE: kinds of the client's and the gateway's router, what the client says of the path (a pattern), percent of loss, bytes
declare -A CASES=(
    [direct]="easy,v4 easy,v4 peer* 0 20000000"
    [relayed]="hard,v4 hard,v4 *relay* 0 20000000"
    [ipv4]="easy,dual easy,v4 peer* 0 1000000"
    [ipv6]="none,dual none,v6 peer* 0 1000000"
    [loss]="easy,v4 easy,v4 peer* 20 100000"
)

if [[ $# -eq 0 ]]; then
    for it in direct relayed ipv4 ipv6 loss; do
        "$0" "$it"
    done
    exit 0
fi
read -r client_kind gateway_kind path loss bytes <<<"${CASES[$1]}"
case=$1

# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"
# shellcheck source=tests/support/names.sh disable=SC1091
. "$(dirname "$0")/support/names.sh"

path_is() {
    # shellcheck disable=SC2053 # a pattern
    [[ $(p2p_path 1) == $path ]]
}

rig_begin $((loss > 0 ? 170 : 110))
require_impl ours
need python3 nsenter
names_begin "${client_kind/,/ }" "${gateway_kind/,/ }"
if [[ $loss -gt 0 ]]; then
    in_ns core nft -f - <<NFT || fail "nftables cannot lose packets here"
    table inet fz_loss {
        chain forward { type filter hook forward priority 10; policy accept;
            meta l4proto udp numgen random mod 100 < $loss counter drop
        }
    }
NFT
    # A segment that is lost seven times would make TCP wait for half a minute (since Linux 6.15).
    for it in c1 n1; do
        in_ns $it sysctl -q -w net.ipv4.tcp_rto_max_ms=1000 2>/dev/null || true
    done
    LIMIT=60
fi
names_gateway g1
# shellcheck disable=SC2119 # without arguments
names_client
eventually 20 names_connection_is web.corp.test 80 open || fail "$case: no way: $(tail -n 30 "$TMP/c1.log" "$TMP/g1.log")"
eventually 10 path_is || fail "$case: the path is $(p2p_path 1)"
names_fetch web.corp.test "$bytes" >/dev/null
names_fetch six.corp.test "$bytes" >/dev/null
[[ $loss -eq 0 ]] || in_ns core nft list table inet fz_loss | grep -E 'packets [1-9]' >/dev/null || fail "nothing was lost"
names_end
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
say "$case: $bytes bytes, twice, $(p2p_path 1)"
rig_end
