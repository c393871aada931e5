#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# ECN: a datagram carries the inner packet's ECN bits; congestion marked on the way shows up inside. Handshakes are
# Not-ECT. wireguard-go does nothing of this, so both ends are ours.
#
#     [a] ---- [r] ---- [b]      r counts by outer ECN, and marks CE when told to; b counts by inner ECN
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 60

need nft
[[ $(pairs 'ours ours') == 'ours ours' ]] || skip "only for ours at both ends"
marks=(not-ect ect1 ect0 ce) # by value of the two bits

# counting_rules CHAIN_HEADER MATCH PREFIX: counters PREFIX_<mark> of what matches, both families
counting_rules() {
    local mark
    for mark in "${marks[@]}"; do
        echo "counter $3_$mark {}"
    done
    echo "chain $3 { $1"
    for mark in "${marks[@]}"; do
        echo "$2 ip ecn $mark counter name $3_$mark"
        echo "$2 ip6 ecn $mark counter name $3_$mark"
    done
    echo "}"
}

watch_ecn() {
    {
        echo "table inet fz_ecn {"
        counting_rules "type filter hook forward priority 0;" "iifname \"r-a\" @th,64,32 0x04000000 udp length > 40" data
        counting_rules "type filter hook forward priority 1;" "@th,64,32 { 0x01000000, 0x02000000, 0x03000000 }" handshake
        echo "}"
    } | in_ns r nft -f - || skip "nftables cannot match ECN here"
    {
        echo "table inet fz_ecn {"
        counting_rules "type filter hook input priority 0;" "iifname \"$(tun b)\" meta l4proto { icmp, ipv6-icmp, tcp }" inner
        echo "}"
    } | in_ns b nft -f -
}

ecn_count() { # NS COUNTER
    in_ns "$1" nft list counter inet fz_ecn "$2" | awk '/packets/ { print $2 }'
}

ecn_reset() {
    in_ns r nft reset counters >/dev/null
    in_ns b nft reset counters >/dev/null
}

mark_ce() {
    printf 'table inet fz_mark { chain f { type filter hook forward priority -10; %s\n%s\n }\n }\n' \
        'iifname "r-a" @th,64,32 0x04000000 ip ecn set ce' 'iifname "r-a" @th,64,32 0x04000000 ip6 ecn set ce' |
        in_ns r nft -f - || skip "nftables cannot set ECN here"
}

unmark_ce() {
    in_ns r nft delete table inet fz_mark
}

# expect_only NS PREFIX MARK LEAST: so many packets or more with that mark, none with another. Ten are sent; datagrams that
# leave together are one to the router.
expect_only() {
    local mark n
    for mark in "${marks[@]}"; do
        n=$(ecn_count "$1" "$2_$mark")
        if [[ $mark == "$3" ]]; then
            [[ $n -ge $4 ]] || fail "$2: only $n packets with $mark"
        else
            [[ $n -eq 0 ]] || fail "$2: $n packets with $mark instead of $3"
        fi
    done
}

# ping_bits BITS: ten pings with these ECN bits (and a DSCP, which must not go outside)
ping_bits() {
    ecn_reset
    for to in "$INNER_B4" "$INNER_B6"; do
        in_ns a ping -n -q -c 5 -i 0.02 -W 2 -Q $((0xb8 + $1)) "$to" >"$TMP/ping.out" || fail "ping with ECN $1: $(cat "$TMP/ping.out")"
    done
}

pair_net_router
watch_ecn
for backend in $(backends); do
    for outer in 4 6; do
        say "--io $backend, outer IPv$outer"
        pair_conf "$outer" a
        pair_up ours ours --io "$backend"
        ecn_reset
        eventually 5 one_ping a "$INNER_B4" || fail "no tunnel"
        [[ $(ecn_count r handshake_not-ect) -ge 2 ]] || fail "no handshake counted"
        for mark in ect1 ect0 ce; do
            [[ $(ecn_count r "handshake_$mark") -eq 0 ]] || fail "a handshake message has $mark"
        done
        for bits in 0 1 2 3; do
            ping_bits "$bits"
            expect_only r data "${marks[bits]}" 5
            expect_only b inner "${marks[bits]}" 10
        done
        mark_ce
        for bits in 1 2 3; do
            ping_bits "$bits"
            expect_only b inner ce 10
        done
        ping_bits 0
        expect_only b inner not-ect 10
        unmark_ce
        pair_down
    done

    say "--io $backend: TCP with ECN, every datagram marked"
    pair_conf 4 ab
    pair_up ours ours --io "$backend"
    in_ns a sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_ecn'
    [[ -n ${served:-} ]] || iperf_server b
    served=yes
    mark_ce
    ecn_reset
    check_tcp a "$INNER_B4" 1
    [[ $(ecn_count b inner_ce) -ge 20 ]] || fail "TCP saw $(ecn_count b inner_ce) marks"
    unmark_ce
    counters b
    expect_counter b in_bad_packet == 0
    expect_counter b replay_old == 0
    pair_down
done
rig_end
