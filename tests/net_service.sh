#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a service manager and an administrator see: readiness, one line in the log, help, --check, the device named after
# the file, an endpoint given by name, and wg-quick's keys that are not run.
#
#     [a] ===== [b]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 60
need socat unshare

[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "says nothing about other implementations"
require_impl ours

pair_net
pair_conf 4 ab

say "help, version, check"
in_ns a "$CLIENT" --version | grep -qE '^firezone-headless-client [0-9]' || fail "--version"
in_ns a "$CLIENT" --help | grep -q wireguard || fail "--help does not name the command"
in_ns a "$CLIENT" wireguard --help | grep -q -- --config || fail "wireguard --help does not name --config"
in_ns a "$CLIENT" wireguard --check --config "$TMP/a.conf" >"$TMP/out" 2>&1 || fail "--check of a good file: $(cat "$TMP/out")"
echo 'Nonsense = 1' >>"$TMP/a.conf"
! in_ns a "$CLIENT" wireguard --check --config "$TMP/a.conf" >"$TMP/out" 2>&1 || fail "--check accepts a bad file"
grep -q Nonsense "$TMP/out" || fail "--check does not name the key"

say "sd_notify, and an endpoint that is a name"
printf '127.0.0.1 localhost\n%s peer.test\n' "$OUTER_B4" >"$TMP/hosts"
cat >"$TMP/client" <<WRAPPER
#!/bin/sh
exec unshare -m sh -c 'mount --make-rprivate / && mount --bind $TMP/hosts /etc/hosts && exec "\$@"' sh $CLIENT "\$@"
WRAPPER
chmod 755 "$TMP/client"
REAL_CLIENT=$CLIENT
CLIENT=$TMP/client
pair_conf 4 ab
sed -i "s/^Endpoint = .*/Endpoint = peer.test:$PORT_B/" "$TMP/a.conf"
spawn notify a socat -u "UNIX-RECV:$TMP/notify" "OPEN:$TMP/notified,creat,append"
eventually 3 test -S "$TMP/notify" || fail "no notification socket"
export NOTIFY_SOCKET=$TMP/notify
tunnel_up a a ours
unset NOTIFY_SOCKET
CLIENT=$REAL_CLIENT
tunnel_up b b "${FZ_IMPL_B:-ours}"
eventually 8 one_ping a "$INNER_B4" || fail "the endpoint's name was not resolved"
eventually 3 grep -q 'READY=1' "$TMP/notified" || fail "no READY=1: $(cat "$TMP/notified")"
[[ $(grep -c ' is up: ' "${T_LOG[a]}") -eq 1 ]] || fail "not one line when ready: $(cat "${T_LOG[a]}")"
pair_down
eventually 3 grep -q 'STOPPING=1' "$TMP/notified" || fail "no STOPPING=1: $(cat "$TMP/notified")"

say "the device has the file's name; SIGINT ends it; a readable file is worth a warning"
pair_conf 4 ab
install -m 644 "$TMP/a.conf" "$TMP/$(tun n).conf"
chmod 755 "$TMP"
RIG_SOCKETS+=("$RUN_DIR/$(tun n).sock")
spawn named a "$CLIENT" wireguard --config "$TMP/$(tun n).conf"
named=$SPAWNED
eventually 5 wg show "$(tun n)" || fail "no device $(tun n)"
kill -INT "$named"
finish "$named" 5 || fail "SIGINT: exit code $?"
grep -qE ' WARN .*(read|permission|mode)' "$TMP/named.log" || fail "no warning about a private key that everyone may read: $(cat "$TMP/named.log")"
! grep -qF "${PRIVATE[a]}" "$TMP/named.log" || fail "the log has the private key"

say "keys of wg-quick that are not run get a notice each"
pair_conf 4 ab
{
    sed '/^\[Peer\]/,$d' "$TMP/a.conf"
    printf '%s\n' "PreUp = touch $TMP/ran" "PostUp = touch $TMP/ran" "PreDown = touch $TMP/ran" \
        "PostDown = touch $TMP/ran" 'SaveConfig = true' ''
    sed -n '/^\[Peer\]/,$p' "$TMP/a.conf"
} >"$TMP/quick.conf"
cp "$TMP/quick.conf" "$TMP/a.conf"
: >"$TMP/a.log"
T_WARN[a]=' WARN config: '
pair_up ours "${FZ_IMPL_B:-ours}"
eventually 5 one_ping a "$INNER_B4" || fail "no tunnel"
pair_down
for key in PreUp PostUp PreDown PostDown SaveConfig; do
    [[ $(grep ' WARN ' "$TMP/a.log" | grep -c "\b$key\b") -ge 1 ]] || fail "no notice about $key"
done
[[ ! -e $TMP/ran ]] || fail "a command of the file was run"
rig_end
