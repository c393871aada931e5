#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# AllowedIPs 0.0.0.0/0 and ::/0 with Table = auto: everything goes through the tunnel, the tunnel's own datagrams do not,
# two instances live side by side, and the end restores the host.
#
#     [a] ---- [r] ---- [b] 203.0.113.9, 2001:db8:113::9
#      |
#      +------ [c] 198.51.100.9            a second tunnel
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 60

need nft
[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "wireguard-go sets up no routes"
require_impl ours
impl_b=${FZ_IMPL_B:-wireguard-go}

host_state() {
    local name
    name=$(ns a)
    ip -n "$name" rule
    ip -n "$name" -6 rule
    ip -n "$name" route show table all
    ip -n "$name" -6 route show table all | sed -E 's/ expires [0-9]+sec//'
}

# watch_links: counts what leaves a on its real links: WireGuard to the two ports, and anything else
watch_links() {
    in_ns a nft -f - <<'RULES'
table inet fz_leak {
    counter wireguard {}
    counter other {}
    chain out {
        type filter hook postrouting priority 0;
        oifname { "a-r", "a-c" } udp dport { 51821, 51822 } counter name wireguard accept
        oifname { "a-r", "a-c" } icmpv6 type { 133, 134, 135, 136, 143 } accept
        oifname { "a-r", "a-c" } counter name other
    }
}
RULES
}

count() {
    in_ns a nft list counter inet fz_leak "$1" | awk '/packets/ { print $2 }'
}

# check_no_leak MOST: since the last call, at most MOST WireGuard datagrams and nothing else left a
check_no_leak() {
    local wireguard other
    wireguard=$(count wireguard) other=$(count other)
    in_ns a nft reset counters >/dev/null
    [[ $other -eq 0 ]] || fail "$other packets left a outside of the tunnel"
    [[ $wireguard -le $1 ]] || fail "$wireguard datagrams for a few pings: a loop"
}

pair_net_router
ns_add c
link a c 5
ip -n "$(ns b)" address add 203.0.113.9/32 dev lo
ip -n "$(ns b)" address add 2001:db8:113::9/128 dev lo nodad
ip -n "$(ns c)" address add 198.51.100.9/32 dev lo
# As distributions have it: a sender must be reachable, by whatever way.
in_ns a sh -c 'for key in all default a-r a-c; do echo 2 >/proc/sys/net/ipv4/conf/$key/rp_filter; done'
watch_links
host_state >"$TMP/before"

for outer in 4 6; do
    for option in '' '--source-ip resolve' '--no-steering'; do
        say "default routes over IPv$outer $option"
        pair_conf "$outer" a
        sed -i "s|^AllowedIPs = .*|AllowedIPs = 0.0.0.0/0, ::/0|" "$TMP/a.conf"
        # shellcheck disable=SC2086
        tunnel_up a a ours $option
        tunnel_up b b "$impl_b"
        ip -n "$(ns b)" -6 route replace fd09::/64 dev "$(tun b)"
        eventually 5 one_ping a 203.0.113.9 || fail "the default route does not lead into the tunnel"
        in_ns a nft reset counters >/dev/null
        check_ping a 203.0.113.9
        check_ping a 2001:db8:113::9
        check_ping a "$INNER_B4"
        check_ping a "$INNER_B6"
        check_no_leak 40
        # More specific routes of the main table still win.
        in_ns a ping -q -n -c 1 -W 1 192.0.2.2 >/dev/null || fail "the local network is cut off"
        in_ns a nft reset counters >/dev/null
        pair_down
        host_state >"$TMP/after"
        diff "$TMP/before" "$TMP/after" || fail "routes or rules are left behind"
    done
done

say "two instances side by side"
pair_conf 4 a
sed -i "s|^AllowedIPs = .*|AllowedIPs = 0.0.0.0/0, ::/0|" "$TMP/a.conf"
conf a2 51830 "Address = 10.8.0.1/24" "MTU = 1420"
conf_peer a2 c2 "0.0.0.0/0" "Endpoint = 192.0.5.2:51822"
conf c2 51822 "Address = 10.8.0.2/24" "MTU = 1420"
conf_peer c2 a2 10.8.0.1/32
tunnel_up a a ours
tunnel_up b b "$impl_b"
tunnel_up a2 a ours
tunnel_up c2 c "$impl_b"
eventually 5 one_ping a "$INNER_B4" || fail "the first instance does not work"
eventually 5 one_ping a 10.8.0.2 || fail "the second instance does not work"
in_ns a nft reset counters >/dev/null
check_ping a "$INNER_B4"
check_ping a "$INNER_B6"
check_ping a 10.8.0.2
# One of them has the rest.
if one_ping a 203.0.113.9 >/dev/null; then
    tunnel_of_rest=a
else
    one_ping a 198.51.100.9 >/dev/null || fail "neither has the default route"
    tunnel_of_rest=a2
fi
say "  the default route is that of $tunnel_of_rest"
check_no_leak 60
tunnel_down a2
host_state >"$TMP/one"
eventually 3 one_ping a 203.0.113.9 || fail "the end of the second instance broke the first"
tunnel_up a2 a ours
eventually 5 one_ping a 10.8.0.2 || fail "the second instance does not work again"
tunnel_down a
eventually 3 one_ping a 198.51.100.9 || fail "the end of the first instance broke the second"
tunnel_down a2
tunnel_down b
tunnel_down c2
host_state >"$TMP/after"
diff "$TMP/before" "$TMP/after" || fail "routes or rules are left behind"

say "Table = off and a table of its own"
pair_conf 4 a
sed -i "s|^AllowedIPs = .*|AllowedIPs = 0.0.0.0/0, ::/0|; s|^MTU.*|&\nTable = off|" "$TMP/a.conf"
tunnel_up a a ours
[[ -z $(ip -n "$(ns a)" route show default dev "$(tun a)") ]] || fail "Table = off made a route"
[[ $(ip -n "$(ns a)" rule) == "$(ip -n "$(ns r)" rule)" ]] || fail "Table = off made a rule"
tunnel_down a
sed -i 's|^Table = off|Table = 4321|' "$TMP/a.conf"
tunnel_up a a ours
[[ -n $(ip -n "$(ns a)" route show table 4321 default dev "$(tun a)") ]] || fail "no route in table 4321"
tunnel_down a
host_state >"$TMP/after"
diff "$TMP/before" "$TMP/after" || fail "routes or rules are left behind"
rig_end
