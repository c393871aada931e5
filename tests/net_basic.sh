#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tunnel carries ping, TCP and UDP, over and inside both families, whoever starts the handshake.
#
#     [a] 192.0.2.1 ------------- 192.0.2.2 [b]
#         10.9.0.1  ===tunnel===  10.9.0.2
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 110

check_both_ways() {
    local inner
    for inner in "$INNER_A4 $INNER_B4" "$INNER_A6 $INNER_B6"; do
        check_ping a "${inner#* }"
        check_ping b "${inner% *}"
    done
}

# check_traffic SECONDS
check_traffic() {
    local lost
    if [[ $outer -eq 4 ]]; then
        check_tcp a "$INNER_B4" "$1"
        check_tcp a "$INNER_B6" "$1" --reverse
    else
        check_tcp a "$INNER_B6" "$1"
    fi
    mbits a "$INNER_B4" "$1" --udp --bitrate 50M --length 1200 >/dev/null
    lost=$(awk '/receiver/ { gsub(/[()%]/, ""); print int($NF) }' "$TMP/iperf.out")
    [[ $lost -le 5 ]] || fail "UDP at 50 Mbit/s lost $lost %"
}

# handshake_by SIDE: that side knows the endpoint and speaks first; the other learns it
handshake_by() {
    local side=$1 other=b to=$INNER_B4
    [[ $side == a ]] || { other=a; to=$INNER_A4; }
    eventually 8 one_ping "$side" "$to" || fail "no handshake started by $side"
    [[ $(handshake_time "$side" "$other") -gt 0 && $(handshake_time "$other" "$side") -gt 0 ]] ||
        fail "handshake by $side: no time shown"
    check_both_ways
}

pair_net
iperf_server b

while read -r impl_a impl_b; do
    psk="PresharedKey = $(wg genpsk)"
    for variant in '4 a' '4 b' '6 a psk' '6 b psk'; do
        read -r outer side with_psk <<<"$variant"
        say "$impl_a - $impl_b: outer IPv$outer, handshake by $side${with_psk:+, pre-shared key}"
        pair_conf "$outer" "$side" 1420 ${with_psk:+"$psk"}
        pair_up "$impl_a" "$impl_b"
        handshake_by "$side"
        [[ $variant != '4 a' && $variant != '6 b psk' ]] || check_traffic 1
        pair_down
    done
done < <(pairs 'ours wireguard-go' 'wireguard-go ours' 'ours ours')

if [[ $(pairs 'ours ours') == 'ours ours' ]]; then
    for backend in $(backends); do
        options=('--workers 1' '--workers 2' '--workers 4' '--no-steering --workers 3' '--no-offload')
        [[ $backend == epoll ]] || options+=('--crypto boringssl' '--source-ip resolve')
        for option in "${options[@]}"; do
            say "ours - ours: --io $backend $option"
            pair_conf 4 ab
            # shellcheck disable=SC2086
            pair_up ours ours --io "$backend" $option
            handshake_by a
            check_tcp a "$INNER_B4" 1
            pair_down
        done
    done
fi
rig_end
