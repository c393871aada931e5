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
[[ -x $KEYLOG_CLIENT ]] || fail "no $KEYLOG_CLIENT: run make KEYLOG=1 products first"
CLIENT=$KEYLOG_CLIENT

PATTERN=5a17c0ffee # the ping's payload, repeated

fields() { # FIELD...: of the decrypted capture, all occurrences of each
    local field
    local -a args=()
    for field in "$@"; do
        args+=(-e "$field")
    done
    HOME=$TMP tshark -r "$TMP/capture.pcap" -o "wg.keylog_file:$TMP/keys.sorted" -o ip.check_checksum:TRUE \
        -o udp.check_checksum:TRUE -d "udp.port==$PORT_A,wg" -d "udp.port==$PORT_B,wg" -Y wg -T fields "${args[@]}" 2>"$TMP/tshark.log"
}

pair_net
# tshark reads the capture by the port 51820 at least on one side.
pair_conf 4 ab 1420 "PresharedKey = $(wg genpsk)"
chmod 755 "$TMP"
# The dissector takes some ports of the usual range for protocols that iperf3 does not speak (48898 is one), and finds
# them malformed; it knows none of these.
for it in a b; do
    in_ns $it sysctl -q -w net.ipv4.ip_local_port_range="58000 60999"
done
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

# One pass over the capture; of an inner packet's fields the dissector gives the outer value first, then the inner.
fields frame.number frame.len wg.type udp.length ip.src ipv6.src icmp.type icmpv6.type data.data tcp.dstport tcp.len \
    ip.checksum.status _ws.malformed >"$TMP/packets"
[[ -s $TMP/packets ]] || fail "the dissector found nothing: $(cat "$TMP/tshark.log")"

packets() { # AWK_CONDITION: how many; the fields in the order above
    awk -F'\t' "$1 { n++ } END { print n + 0 }" "$TMP/packets"
}

ping4=$(packets "\$5 ~ /,10.9.0/ && (\$7 == 8 || \$7 == 0)")
intact=$(packets "\$5 ~ /,10.9.0/ && (\$7 == 8 || \$7 == 0) && \$9 ~ /$PATTERN/")
ping6=$(packets "\$6 ~ /^fd09::/ && (\$8 == 128 || \$8 == 129)")
say "inner ICMP packets decrypted: $ping4, with the payload as sent: $intact; inner ICMPv6: $ping6"
[[ $ping4 -ge 20 && $intact -ge 20 && $ping6 -ge 20 ]] || fail "inner packets are missing or not what was sent"
[[ $(packets "\$12 ~ /0/") -eq 0 ]] || fail "IPv4 checksums are bad"
[[ $(packets "\$13 != \"\"") -eq 0 ]] || fail "malformed packets: $(packets "\$13 != \"\"")"
tcp=$(packets "\$10 == 5201 && \$11 > 0")
say "inner TCP segments decrypted: $tcp"
[[ $tcp -ge 500 ]] || fail "hardly any inner TCP"

# Every data message of the whole capture could be decrypted; 74 bytes are a keepalive.
total=$(packets "\$3 == 4 && \$2 > 74")
opened=$(packets "\$3 == 4 && \$2 > 74 && (\$5 ~ /,/ || \$6 != \"\")")
say "data messages: $total, decrypted: $opened"
[[ $total -gt 500 && $opened -eq $total ]] || fail "only $opened of $total data messages could be decrypted"

# Padded to 16 bytes, but never beyond the MTU. The outer UDP header comes first.
odd=$(awk -F'\t' -v from="$OUTER_A4" '$3 == 4 && index($5, from) == 1 { split($4, u, ","); n = u[1] - 8 - 32; if (n % 16 && n != 1420) c++ } END { print c + 0 }' "$TMP/packets")
[[ $odd -eq 0 ]] || fail "$odd data messages are not padded"
[[ $(packets "\$3 == 1") -ge 1 && $(packets "\$3 == 2") -ge 1 ]] || fail "no handshake in the capture"
rig_end
