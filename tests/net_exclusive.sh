#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What cannot work says so in one line, with exit code 2 for wrong usage and 1 for the rest, and leaves nothing behind:
# no device, address, route, rule or socket. A second instance on the same device name or port is such a case.
#
#     [a] one namespace, one tunnel at first, then wrong starts
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 60

[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "says nothing about other implementations"
require_impl ours
need capsh setpriv unshare

# What an instance may change on the host, as text.
host_state() {
    local name
    name=$(ns a)
    ip -n "$name" -o link | sed -E 's/ (state|mode|group) .*//; s/<[^>]*>//'
    ip -n "$name" -o address
    ip -n "$name" rule
    ip -n "$name" -6 rule
    ip -n "$name" route show table all
    ip -n "$name" -6 route show table all
    ss -N "$name" -Hlnu | awk '{ print $4 }' | sort
    find "$RUN_DIR" -name "fz$RIG_OWNER*" 2>/dev/null || true
}

# refused CODE PATTERN WHAT COMMAND...: in a; ends by itself with that code, one line on stderr that matches the extended
# regular expression, and the host as it was
refused() {
    local code=$1 pattern=$2 what=$3 status=0 lines
    shift 3
    host_state >"$TMP/before"
    LIMIT=5 in_ns a "$@" >"$TMP/stdout" 2>"$TMP/stderr" || status=$?
    [[ $status -eq $code ]] || fail "$what: exit code $status, not $code; it said: $(cat "$TMP/stderr")"
    lines=$(grep -vcE ' (INFO|DEBUG|WARN) ' "$TMP/stderr" || true)
    [[ $lines -eq 1 ]] || fail "$what: $lines lines of error: $(cat "$TMP/stderr")"
    grep -qiE "$pattern" "$TMP/stderr" || fail "$what: the message is not clear: $(cat "$TMP/stderr")"
    host_state >"$TMP/after"
    diff "$TMP/before" "$TMP/after" >"$TMP/diff" || fail "$what leaves something behind: $(cat "$TMP/diff")"
    ! grep -qF "${PRIVATE[a]}" "$TMP/stdout" "$TMP/stderr" || fail "$what: prints the private key"
    say "  $what: $(grep -vE ' (INFO|DEBUG|WARN) ' "$TMP/stderr" | sed "s|$TMP|...|g")"
}

# wrong_file PATTERN WHAT TEXT: the usual file with TEXT appended
wrong_file() {
    { cat "$TMP/a.conf" && printf '%s\n' "$3"; } >"$TMP/wrong.conf"
    refused 1 "$1" "$2" "$CLIENT" wireguard --config "$TMP/wrong.conf" --tun "$(tun w)"
}

ns_add a b
link a b 2
conf a $PORT_A "Address = 10.9.0.1/24, fd09::1/64" "MTU = 1420"
conf_peer a b "0.0.0.0/0, ::/0, 10.9.0.2/32" "Endpoint = 192.0.2.2:51820"
conf_lines=$(wc -l <"$TMP/a.conf")

say "usage"
client=("$CLIENT" wireguard)
good=("$CLIENT" wireguard --config "$TMP/a.conf" --tun "$(tun w)")
refused 2 'nonsense' "unknown command" "$CLIENT" nonsense
refused 2 'config' "no --config" "${client[@]}"
refused 2 'frobnicate' "unknown flag" "${good[@]}" --frobnicate
refused 2 'workers' "--workers 0" "${good[@]}" --workers 0
refused 2 'workers' "--workers many" "${good[@]}" --workers many
refused 2 'workers' "--workers 100000" "${good[@]}" --workers 100000
refused 2 'io' "--io magic" "${good[@]}" --io magic
refused 2 'crypto' "--crypto rot13" "${good[@]}" --crypto rot13
refused 2 'source-ip' "--source-ip guess" "${good[@]}" --source-ip guess
refused 2 'log-level' "--log-level loud" "${good[@]}" --log-level loud
refused 2 'argument|extra|unexpected' "stray argument" "${good[@]}" stray
refused '2' 'tun|name' "--tun with a name that is too long" "${client[@]}" --config "$TMP/a.conf" --tun abcdefghijklmnopqrst

say "files"
refused 1 'missing.conf.*(no such|not found|does not exist)' "missing file" "${client[@]}" --config "$TMP/missing.conf" --tun "$(tun w)"
refused 1 'directory' "a folder" "${client[@]}" --config "$TMP" --tun "$(tun w)"
: >"$TMP/empty.conf"
refused 1 'PrivateKey|Interface|empty' "empty file" "${client[@]}" --config "$TMP/empty.conf" --tun "$(tun w)"
head -c 4096 /dev/urandom >"$TMP/noise.conf"
refused 1 'line 1|noise.conf' "noise" "${client[@]}" --config "$TMP/noise.conf" --tun "$(tun w)"
wrong_file "$((conf_lines + 1)).*Frobnicate" "unknown key" 'Frobnicate = 1'
wrong_file "$((conf_lines + 1)).*AllowedIPs" "bad prefix" 'AllowedIPs = 10.0.0.0/33'
wrong_file "$((conf_lines + 1)).*Endpoint" "endpoint twice" 'Endpoint = 1.2.3.4:5'
wrong_file "$((conf_lines + 1)).*PersistentKeepalive" "bad keepalive" 'PersistentKeepalive = 99999'
wrong_file "$((conf_lines + 1))" "unknown section" '[Nonsense]'
wrong_file "$((conf_lines + 2)).*PublicKey" "bad public key" $'[Peer]\nPublicKey = AAAA'
wrong_file "PublicKey" "peer without a key" $'[Peer]\nAllowedIPs = 10.0.0.0/8'
install -m 600 "$TMP/a.conf" "$TMP/unreadable.conf"
chmod 755 "$TMP"
refused 1 'unreadable.conf.*(permission|denied|not allowed)' "unreadable file" setpriv --reuid 65534 --regid 65534 --clear-groups \
    "${client[@]}" --config "$TMP/unreadable.conf" --tun "$(tun w)"

say "rights and environment"
refused 1 'CAP_NET_ADMIN|root|permission' "no CAP_NET_ADMIN" capsh --drop=cap_net_admin -- -c "exec $(printf '%q ' "${good[@]}")"
# A missing device node is made where that is possible; here the folder is read-only.
refused 1 '/dev/net/tun' "no /dev/net/tun" unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs -o ro none /dev/net && exec "$@"' sh "${good[@]}"
ip -n "$(ns a)" link add "$(tun x)" type veth peer name fzpeer
refused 1 "$(tun x)" "the device name belongs to another kind" "${client[@]}" --config "$TMP/a.conf" --tun "$(tun x)"
ip -n "$(ns a)" link del "$(tun x)"
refused 1 'tun|name|lo' "the name of the loopback device" "${client[@]}" --config "$TMP/a.conf" --tun lo
sed 's/192.0.2.2:51820/no-such-host.invalid:51820/' "$TMP/a.conf" >"$TMP/name.conf"
chmod 600 "$TMP/name.conf"
LIMIT=3 in_ns a "${client[@]}" --config "$TMP/name.conf" --tun "$(tun w)" 2>"$TMP/stderr" || true
say "  a name that does not resolve: $(tail -n 1 "$TMP/stderr")"

say "second instance"
tunnel_up a a ours
conf c 51999 "Address = 10.8.0.1/24"
refused 1 "$(tun a).*(in use|already|another)|(in use|already|another).*$(tun a)" "same device name" \
    "${client[@]}" --config "$TMP/c.conf" --tun "$(tun a)"
conf d $PORT_A "Address = 10.8.0.1/24"
refused 1 "$PORT_A.*(in use|already|another)|(in use|already|another).*$PORT_A" "same port" \
    "${client[@]}" --config "$TMP/d.conf" --tun "$(tun d)"
for workers in 1 4; do
    refused 1 "$PORT_A" "same port, $workers workers" "${client[@]}" --config "$TMP/d.conf" --tun "$(tun d)" --workers "$workers"
done
# The first one did not suffer.
wg show "$(tun a)" listen-port >/dev/null || fail "the first instance has lost its socket"
[[ $(wg show "$(tun a)" listen-port) -eq $PORT_A ]] || fail "the first instance has lost its port"
conf b 51820 "Address = 10.9.0.2/24"
conf_peer b a "10.9.0.1/32"
tunnel_up b b ours
eventually 5 one_ping a 10.9.0.2 || fail "the first instance does not work any more"
tunnel_down b
tunnel_down a

say "SIGINT, SIGTERM and a crash leave the host as it was"
host_state >"$TMP/before"
for signal in INT TERM; do
    tunnel_up a a ours
    kill -"$signal" "${T_PID[a]}"
    finish "${T_PID[a]}" 5 || fail "SIG$signal: exit code $?"
    tunnel_gone a
    host_state >"$TMP/after"
    diff "$TMP/before" "$TMP/after" || fail "SIG$signal leaves something behind"
done
# After SIGKILL the kernel removes the device and its routes; the next start works and leaves no more than it found.
tunnel_up a a ours
tunnel_kill a
device_gone() {
    ! ip -n "$(ns a)" link show "$(tun a)"
}
eventually 3 device_gone || fail "the device outlives its process"
host_state >"$TMP/before"
tunnel_up a a ours
tunnel_down a
host_state >"$TMP/after"
diff "$TMP/before" "$TMP/after" || fail "a start after SIGKILL leaves something behind"
rig_end
