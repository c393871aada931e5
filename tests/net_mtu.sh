#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every packet size passes unharmed, fragments too; a link that is too small for the tunnel's datagrams is no black hole.
#
#     [a] -- 1500 -- [r] -- 1500 or 1400 -- [b]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 110

echo_program=$(support echo)

sweep() { # NS WORD...
    local where=$1
    shift
    in_ns "$where" "$echo_program" "$@" >"$TMP/echo.out" 2>&1 || fail "sweep $*: $(tr '\n' ';' <"$TMP/echo.out")"
}

# sweep_all MTU: every size that fits, in ICMP and UDP of both families, then fragments
sweep_all() {
    local mtu=$1
    sweep a icmp "$INNER_B4" 0 $((mtu - 28))
    sweep a icmp "$INNER_B6" 0 $((mtu - 48))
    sweep a udp "$INNER_B4" 7007 0 $((mtu - 28))
    sweep a udp "$INNER_B6" 7007 0 $((mtu - 48))
    sweep a -z udp "$INNER_B4" 7007 2 $((mtu - 28))
    sweep a -f icmp "$INNER_B4" $((mtu - 27)) $((mtu + 40))
    sweep a -f -w 4 icmp "$INNER_B4" 65470 65507
    sweep a -f -w 4 icmp "$INNER_B6" 65400 65420
    sweep a -f -w 4 udp "$INNER_B4" 7007 65480 65507
}

# outer_mtu MTU: what the link r - b carries
outer_mtu() {
    ip -n "$(ns r)" link set r-b mtu "$1"
    ip -n "$(ns b)" link set b-r mtu "$1"
}

pair_net_router 1500 1500
iperf_server b
spawn echo-server b "$echo_program" serve 7007
eventually 5 udp_listens b 7007 || fail "no echo server"

while read -r impl_a impl_b; do
    for mtu in 1280 1420; do
        say "$impl_a - $impl_b, MTU $mtu: sizes"
        pair_conf 4 ab "$mtu"
        pair_up "$impl_a" "$impl_b"
        eventually 5 one_ping a "$INNER_B4" || fail "no tunnel"
        sweep_all "$mtu"
        pair_down
    done
done < <(pairs 'ours wireguard-go' 'wireguard-go ours')

# wireguard-go leaves path MTU discovery on, and then refuses to send what does not fit: it is only asked to receive.
T_ERRORS[a]=out_send_too_big
T_ERRORS[b]=out_send_too_big
while read -r impl_a impl_b; do
    for outer in 4 6; do
        say "$impl_a - $impl_b: tunnel of MTU 1420 over a link of 1400 bytes, IPv$outer"
        outer_mtu 1400
        pair_conf "$outer" ab 1420
        pair_up "$impl_a" "$impl_b"
        eventually 8 one_ping a "$INNER_B4" || fail "no tunnel"
        check_tcp a "$INNER_B4" 2
        if [[ $impl_b == ours ]]; then
            check_tcp a "$INNER_B6" 2 --reverse
            # The first datagram too large for the path may be lost while a learns about it.
            in_ns a ping -q -c 3 -i 0.2 -s 1392 "$INNER_B4" >/dev/null || true
            sweep a -w 1 icmp "$INNER_B4" 1300 1392
        fi
        pair_down
        outer_mtu 1500
    done
done < <(pairs 'ours wireguard-go' 'ours ours' | grep '^ours' || true)

if [[ $(pairs 'ours ours') == ours* ]]; then
    for device in 1500 1400; do
        for outer in 4 6; do
            ip -n "$(ns a)" link set a-r mtu "$device"
            ip -n "$(ns r)" link set r-a mtu "$device"
            ip -n "$(ns a)" route flush cache
            ip -n "$(ns a)" -6 route flush cache
            pair_conf "$outer" ab auto
            pair_up ours ours
            mtu=$(in_ns a cat "/sys/class/net/${T_TUN[a]}/mtu")
            say "automatic MTU over IPv$outer, device of $device: $mtu"
            # wg-quick's rule: what leaves room for IPv6, UDP and WireGuard headers in any case.
            [[ $mtu -eq $((device - 80)) ]] || fail "expected $((device - 80))"
            eventually 5 one_ping a "$INNER_B4" || fail "no tunnel"
            check_tcp a "$INNER_B4" 1
            # wireguard-go does not pass these. (b, whose device has 1500, sends what 1400 does not carry.)
            [[ $device -ne 1500 ]] || sweep a -z udp "$INNER_B6" 7007 2 $((mtu - 48))
            pair_down
        done
    done
fi
rig_end
