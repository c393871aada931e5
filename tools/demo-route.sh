#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The last part of `make demo` (as root): `wireguard` mode with AllowedIPs = 0.0.0.0/0, ::/0. Everything that a machine sends goes
# through its tunnel, but the tunnel's own datagrams: they are counted where they leave, and where they must not, from before
# the start until after the end. In between the machine moves to another network, and nobody tells the tunnel. Takes about
# a quarter of a minute and leaves nothing behind, also when interrupted.
#
#     [c] == [NAT 1] or [NAT 2] == [internet] == [g]     203.0.113.9 and 2001:db8:113::9 are behind it
#
# shellcheck disable=SC2031 # the log names are set by the rig
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/../tests/support/netns.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/../tests/support/nat.sh"
skip() { fail "$@"; }

count() { # NAME
    in_ns c nft list counter inet fz_demo "$1" | awk '/packets/ { print $2 }'
}

rig_begin 60
require_impl ours
nat_begin
nat_host c easy
nat_host g none
for it in 203.0.113.9/32 10.9.0.2/32; do
    ip -n "$(ns g)" address add "$it" dev lo
done
ip -n "$(ns g)" address add 2001:db8:113::9/128 dev lo nodad
conf a 51821 "Address = 10.9.0.1/32, fd09::1/128" "MTU = 1420"
conf_peer a b "0.0.0.0/0, ::/0" "Endpoint = ${NAT_ADDR4[g]}:51822"
conf b 51822 "Address = 10.9.0.2/32, fd09::2/128" "MTU = 1420"
conf_peer b a "10.9.0.1/32, fd09::1/128"

# Both networks' addresses of the machine are in these nets.
in_ns c nft -f - <<RULES
table inet fz_demo {
    counter in_tunnel {}
    counter with_our_addresses {}
    counter datagrams {}
    counter outside {}
    chain out {
        type filter hook postrouting priority 0;
        oifname "$(tun a)" counter name in_tunnel
        oifname "$(tun a)" ip saddr 192.0.0.0/16 counter name with_our_addresses
        oifname "$(tun a)" ip6 saddr 2001:db8::/32 counter name with_our_addresses
        oifname "eth*" udp dport 51822 counter name datagrams accept
        oifname "eth*" icmpv6 type { 133, 134, 135, 136, 143 } accept
        oifname "eth*" counter name outside
    }
}
RULES

say "firezone-headless-client wireguard, AllowedIPs = 0.0.0.0/0, ::/0"
tunnel_up a c ours
tunnel_up b g ours
sed -n 's/.* INFO main: /    /p' "${T_LOG[a]}" | head -n 1
ip -n "$(ns c)" rule | sed -n '/^32[0-9]*:/s/^/    /p'
eventually 5 one_ping c 203.0.113.9 || fail "the default route does not lead into the tunnel"
for it in 203.0.113.9 2001:db8:113::9; do
    in_ns c ping -n -c 2 -i 0.3 -W 2 "$it" | sed -n 's/^64 bytes/    &/p'
done

say "the machine moves to another network"
flow_receiver probe-in g 7000 -t 8 -i 2500
flow_sender probe-out c 7000 203.0.113.9 -f 1 -r 100 -s 64 -t 4
sleep 1
nat_swap c
flow_end probe-out 10
flow_end probe-in 10
one_ping c 2001:db8:113::9 >/dev/null || fail "nothing comes through after the move"
grep -h 'new sockets' "${T_LOG[a]}" | sed 's/^/    /'
T_WARN[a]='.*' T_ERRORS[a]='.*' T_ERRORS[b]='.*'
tunnel_down a
tunnel_down b

printf '\n%-62s %8s\n' \
    "packets that went into the tunnel" "$(count in_tunnel)" \
    "of these, such that carry an address of ours outside of it" "$(count with_our_addresses)" \
    "datagrams of the tunnel that left by the uplink" "$(count datagrams)" \
    "anything else that did" "$(count outside)" \
    "a datagram every 10 ms: longest silence when moving, ms" "$(word gap_ms "$TMP/probe-in.log")"
printf '\n'
[[ $(count with_our_addresses) -eq 0 ]] || fail "datagrams of the tunnel went into the tunnel"
[[ $(count datagrams) -gt 0 ]] || fail "nothing was counted"
rig_end
