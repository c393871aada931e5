#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The stock `wg` works on a running tunnel: show, showconf, set, setconf, syncconf, addconf.
#
#     [a] ===== [b]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 60

impl_a=${FZ_IMPL_A:-ours} impl_b=${FZ_IMPL_B:-wireguard-go}

expect() { # WHAT GOT WANTED
    [[ $2 == "$3" ]] || fail "$1: got '$2', wanted '$3'"
}

works() { # WHAT
    eventually 7 one_ping a "$INNER_B4" || fail "$1: no answer any more"
}

# allowed KEY: the peer's prefixes, sorted: their order says nothing
allowed() {
    wg show "$dev" allowed-ips | awk -v k="$1" '$1 == k { for (i = 2; i <= NF; i++) print $i }' | sort | tr '\n' ' '
}

fails() { # WHAT
    ! one_ping a "$INNER_B4" >/dev/null 2>&1 || fail "$1: still answers"
}

pair_net
psk=$(wg genpsk)
pair_conf 4 ab 1420 "PresharedKey = $psk" "PersistentKeepalive = 21"
pair_up "$impl_a" "$impl_b"
dev=${T_TUN[a]} dev_b=${T_TUN[b]}
key=${PUBLIC[b]}
works start

say "show"
expect private-key "$(wg show "$dev" private-key)" "${PRIVATE[a]}"
expect public-key "$(wg show "$dev" public-key)" "${PUBLIC[a]}"
expect listen-port "$(wg show "$dev" listen-port)" $PORT_A
expect peers "$(wg show "$dev" peers)" "$key"
expect preshared-keys "$(wg show "$dev" preshared-keys)" "$key"$'\t'"$psk"
expect endpoints "$(wg show "$dev" endpoints)" "$key"$'\t'"$OUTER_B4:$PORT_B"
expect allowed-ips "$(allowed "$key")" "$INNER_B4/32 $INNER_B6/128 "
expect persistent-keepalive "$(wg show "$dev" persistent-keepalive)" "$key"$'\t'21
age=$(($(date +%s) - $(handshake_time a b)))
[[ $age -ge 0 && $age -le 15 ]] || fail "the last handshake is $age s ago"
read -r _ received sent <<<"$(wg show "$dev" transfer)"
[[ $received -gt 100 && $sent -gt 100 ]] || fail "transfer: $received received, $sent sent"
in_ns a ping -q -n -c 10 -i 0.01 -s 1000 "$INNER_B4" >/dev/null
read -r _ received_later sent_later <<<"$(wg show "$dev" transfer)"
[[ $((received_later - received)) -ge 10000 && $((sent_later - sent)) -ge 10000 ]] || fail "transfer does not count"
[[ $(wg show interfaces) == *$dev* ]] || fail "not among the interfaces"
wg show "$dev" >"$TMP/show" && grep -q 'latest handshake' "$TMP/show" || fail "wg show: $(cat "$TMP/show")"
wg show "$dev" dump >/dev/null

say "showconf gives what setconf takes"
wg showconf "$dev" >"$TMP/showconf"
wg setconf "$dev" "$TMP/showconf"
wg showconf "$dev" >"$TMP/showconf2"
diff <(tr ',' '\n' <"$TMP/showconf" | sort) <(tr ',' '\n' <"$TMP/showconf2" | sort) || fail "showconf changes by setconf"
works setconf

say "set: keepalive, pre-shared key, endpoint"
wg set "$dev" peer "$key" persistent-keepalive 7
expect persistent-keepalive "$(wg show "$dev" persistent-keepalive)" "$key"$'\t'7
wg set "$dev" peer "$key" persistent-keepalive off
expect persistent-keepalive "$(wg show "$dev" persistent-keepalive)" "$key"$'\t'off
wg set "$dev" peer "$key" preshared-key /dev/null
expect preshared-keys "$(wg show "$dev" preshared-keys)" "$key"$'\t(none)'
wg set "$dev_b" peer "${PUBLIC[a]}" preshared-key /dev/null
works "without a pre-shared key"
wg set "$dev" peer "$key" endpoint "[$OUTER_B6]:$PORT_B"
expect endpoints "$(wg show "$dev" endpoints)" "$key"$'\t'"[$OUTER_B6]:$PORT_B"
works "IPv6 endpoint"

say "set: allowed-ips"
wg set "$dev" peer "$key" allowed-ips "$INNER_B6/128"
expect allowed-ips "$(allowed "$key")" "$INNER_B6/128 "
fails "allowed-ips without the address"
check_ping a "$INNER_B6"
make_key other
wg set "$dev" peer "${PUBLIC[other]}" allowed-ips "10.9.0.0/24,10.77.0.0/16,fd77::/32"
wg set "$dev" peer "$key" allowed-ips "$INNER_B4/32,$INNER_B6/128"
works "the longer prefix wins over another peer's"
expect peers "$(wg show "$dev" peers | sort)" "$(printf '%s\n' "$key" "${PUBLIC[other]}" | sort)"
# A prefix belongs to one peer: giving it to another takes it away from the first.
wg set "$dev" peer "${PUBLIC[other]}" allowed-ips "$INNER_B4/32"
expect "allowed-ips of b" "$(allowed "$key")" "$INNER_B6/128 "
fails "the prefix belongs to another peer"
wg set "$dev" peer "${PUBLIC[other]}" remove
expect peers "$(wg show "$dev" peers)" "$key"
wg set "$dev" peer "$key" allowed-ips "$INNER_B4/32,$INNER_B6/128"
works "allowed-ips are back"

say "set: remove and add the peer"
wg set "$dev" peer "$key" remove
expect peers "$(wg show "$dev" peers)" ""
fails "the peer is removed"
wg set "$dev" peer "$key" allowed-ips "$INNER_B4/32,$INNER_B6/128" endpoint "$OUTER_B4:$PORT_B"
works "the peer is back"

say "set: listen-port, private-key, fwmark"
wg set "$dev" listen-port 51900
expect listen-port "$(wg show "$dev" listen-port)" 51900
udp_listens a 51900 || fail "nothing listens on the new port"
! udp_listens a $PORT_A || fail "the old port is still open"
works "new port"
expect "endpoint at b" "$(wg show "$dev_b" endpoints)" "${PUBLIC[a]}"$'\t'"$OUTER_A4:51900"
spawn squatter a socat -u UDP4-RECV:51901 OPEN:/dev/null
eventually 3 udp_listens a 51901 || fail "cannot take the port"
! wg set "$dev" listen-port 51901 2>"$TMP/error" || fail "took a port that is in use"
if [[ $impl_a == ours ]]; then
    expect "listen-port after a failure" "$(wg show "$dev" listen-port)" 51900
else
    wg set "$dev" listen-port 51900 # wireguard-go has lost its sockets
fi
works "after a refused port"
wg set "$dev" fwmark 0x1234
expect fwmark "$(wg show "$dev" fwmark)" 0x1234
wg set "$dev" fwmark 0
works "after a change of the mark"
make_key new
wg set "$dev" private-key <(printf '%s' "${PRIVATE[new]}")
expect public-key "$(wg show "$dev" public-key)" "${PUBLIC[new]}"
fails "b does not know the new key"
wg set "$dev_b" peer "${PUBLIC[a]}" remove peer "${PUBLIC[new]}" allowed-ips "$INNER_A4/32,$INNER_A6/128"
works "new private key"

say "syncconf keeps the session of a peer that stays"
state=$(wg show "$dev" latest-handshakes)
wg showconf "$dev" >"$TMP/sync"
printf '\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.66.0.0/16\n' "${PUBLIC[other]}" >>"$TMP/sync"
wg syncconf "$dev" "$TMP/sync"
expect "peers after syncconf" "$(wg show "$dev" peers | wc -l)" 2
expect "handshake after syncconf" "$(wg show "$dev" latest-handshakes | grep "$key")" "$state"
wg showconf "$dev" | sed "/${PUBLIC[other]//\//\\/}/,\$d" >"$TMP/sync"
check_ping a "$INNER_B4"
printf '[Peer]\nPublicKey = %s\nAllowedIPs = 10.67.0.0/16\n' "${PUBLIC[a]}" >"$TMP/add"
wg addconf "$dev" "$TMP/add"
[[ $(wg show "$dev" peers | wc -l) -eq 3 ]] || fail "addconf did not add"

say "hundreds of peers in one request"
{
    for i in {1..400}; do
        printf 'public_key=%s\nallowed_ip=10.%d.%d.0/24\n' \
            "$(printf '%064x' $((i + 1000)))" $((100 + i / 200)) $((i % 200))
    done
} >"$TMP/many"
{ printf 'set=1\n'; cat "$TMP/many"; printf '\n'; } | in_ns a socat -t 5 - "UNIX-CONNECT:$RUN_DIR/$dev.sock" >"$TMP/answer"
grep -q '^errno=0$' "$TMP/answer" || fail "set of 400 peers: $(cat "$TMP/answer")"
[[ $(wg show "$dev" peers | wc -l) -eq 403 ]] || fail "not all peers are there: $(wg show "$dev" peers | wc -l)"

say "bad requests get an error and change nothing"
state=$(wg showconf "$dev" | sort | sha256sum)
for request in 'set=1\nnonsense=1\n\n' 'set=1\nprivate_key=zz\n\n' 'set=1\nlisten_port=99999\n\n' 'bad=1\n\n' \
    'set=1\npublic_key=00\n\n' 'set=1\nendpoint=1.2.3.4:5\n\n'; do
    # shellcheck disable=SC2059
    printf "$request" | in_ns a socat -t 5 - "UNIX-CONNECT:$RUN_DIR/$dev.sock" >"$TMP/answer" 2>/dev/null || true
    ! grep -q '^errno=0$' "$TMP/answer" || fail "request '$request' was accepted"
done
[[ $(wg showconf "$dev" | sort | sha256sum) == "$state" ]] || fail "a refused request changed something"
check_ping a "$INNER_B4"
T_WARN[a]='listen port unchanged|a set request failed|refused a set request'
rig_end
