#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A third opinion: tshark's WireGuard dissector decrypts a capture with the keys that the test build logs, and finds the
# inner packets intact.
#
#     [a] test build ===== [b] wireguard-go     capture on a's link
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 60
need tshark tcpdump ethtool

[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "only ours logs keys"
[[ -x $KEYLOG_CLIENT ]] || fail "no $KEYLOG_CLIENT: run make KEYLOG=1 programs first"
CLIENT=$KEYLOG_CLIENT

PATTERN=5a17c0ffee # the ping's payload, repeated

fields() { # FILTER FIELD...: of the decrypted capture
    local filter=$1 field
    local -a args=()
    shift
    for field in "$@"; do
        args+=(-e "$field")
    done
    HOME=$TMP tshark -r "$TMP/capture.pcap" -o "wg.keylog_file:$TMP/keys.sorted" -o ip.check_checksum:TRUE \
        -o udp.check_checksum:TRUE -d "udp.port==$PORT_A,wg" -d "udp.port==$PORT_B,wg" -Y "$filter" -T fields "${args[@]}" 2>"$TMP/tshark.log"
}

pair_net
# tshark reads the capture by the port 51820 at least on one side.
pair_conf 4 ab 1420 "PresharedKey = $(wg genpsk)"
chmod 755 "$TMP"
# Runs of datagrams are cut up before they are captured.
in_ns a ethtool -K a-b tx-udp-segmentation off generic-segmentation-offload off >/dev/null
in_ns b ethtool -K b-a tx-udp-segmentation off generic-segmentation-offload off >/dev/null
spawn capture a tcpdump -Z root -U -s 0 -i a-b -w "$TMP/capture.pcap" udp
capture=$SPAWNED
eventually 5 grep -q 'listening on' "$TMP/capture.log" || fail "tcpdump does not start"
export FZ_KEYLOG=$TMP/keys.log
tunnel_up a a ours
unset FZ_KEYLOG
tunnel_up b b "${FZ_IMPL_B:-wireguard-go}"
eventually 5 one_ping a "$INNER_B4" || fail "no tunnel"
for size in 8 13 100 1000 1392; do
    in_ns a ping -n -q -c 2 -i 0.02 -p "$PATTERN" -s "$size" "$INNER_B4" >/dev/null || fail "ping of $size bytes"
    in_ns a ping -n -q -c 2 -i 0.02 -p "$PATTERN" -s "$((size < 1372 ? size : 1372))" "$INNER_B6" >/dev/null || fail "ping of $size bytes"
done
iperf_server b
check_tcp a "$INNER_B4" 1 --bitrate 20M
sleep 0.3
kill -INT "$capture"
finish "$capture" 5 || true
pair_down

[[ -s $TMP/keys.log ]] || fail "no key log"
for line in LOCAL_STATIC_PRIVATE_KEY REMOTE_STATIC_PUBLIC_KEY LOCAL_EPHEMERAL_PRIVATE_KEY PRESHARED_KEY; do
    grep -qE "^ *$line *= *[A-Za-z0-9+/]{43}=" "$TMP/keys.log" || fail "the key log has no $line"
done

# The dissector gives a pre-shared key to the ephemeral key above it.
awk '/PRESHARED_KEY/ { psk = $0; next } { line[++n] = $0 } END { for (i = 1; i <= n; i++) { print line[i]; if (line[i] ~ /EPHEMERAL/) print psk } }' \
    "$TMP/keys.log" >"$TMP/keys.sorted"

requests=$(fields "icmp.type == 8 && ip.src == $INNER_A4" data.data)
answers=$(fields "icmp.type == 0 && ip.dst == $INNER_A4" data.data)
[[ $(wc -l <<<"$requests") -ge 10 && $(wc -l <<<"$answers") -ge 10 ]] ||
    fail "the dissector found $(wc -l <<<"$requests") requests, $(wc -l <<<"$answers") answers: $(cat "$TMP/tshark.log")"
intact=$(grep -c "$PATTERN" <<<"$requests$answers")
say "inner ICMP packets decrypted: $(wc -l <<<"$requests$answers"), with the payload as sent: $intact"
[[ $intact -ge 16 ]] || fail "payloads are not what was sent"
[[ $(fields "icmpv6.type == 128 && ipv6.src == $INNER_A6" frame.number | wc -l) -ge 10 ]] || fail "no inner IPv6"
[[ -z $(fields "ip.addr == $INNER_A4 && ip.checksum.status == Bad" frame.number) ]] || fail "inner IPv4 checksums are bad"
[[ -z $(fields "_ws.malformed" frame.number) ]] || fail "malformed packets: $(fields _ws.malformed frame.number | tr '\n' ' ')"
tcp=$(fields "tcp.dstport == 5201 && tcp.len > 0" frame.number | wc -l)
say "inner TCP segments decrypted: $tcp"
[[ $tcp -ge 500 ]] || fail "hardly any inner TCP"

# Every data message of the whole capture could be decrypted: its length outside and the inner packet's agree.
total=$(fields "wg.type == 4 && frame.len > 74" frame.number | wc -l)
opened=$(fields "wg.type == 4 && frame.len > 74 && (ip.addr == $INNER_A4 || ipv6.addr == $INNER_A6 || ipv6.src == fe80::/10)" frame.number | wc -l)
say "data messages: $total, decrypted: $opened"
[[ $total -gt 500 && $opened -eq $total ]] || fail "only $opened of $total data messages could be decrypted"

# wireguard pads to 16 bytes, capped at the MTU.
odd=$(fields "wg.type == 4 && ip.src == $OUTER_A4" udp.length | awk '{ n = $1 - 8 - 32; if (n % 16 && n != 1420) c++ } END { print c + 0 }')
[[ $odd -eq 0 ]] || fail "$odd data messages are not padded"
[[ $(fields "wg.type == 1" frame.number | wc -l) -ge 1 && $(fields "wg.type == 2" frame.number | wc -l) -ge 1 ]] || fail "no handshake in the capture"
rig_end
