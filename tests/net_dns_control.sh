#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `DNS =` in a wg-quick style file becomes the system's DNS by /etc/resolv.conf while the tunnel is up, and whatever ends the client,
# the file is as before after the next start. The client has an /etc of its own; that of this machine is only looked at.
#
#     [a: client, getent] 192.0.2.1 ---------- 192.0.2.2 [b: a DNS server there and one at 10.9.0.2]
#                          10.9.0.1 ==tunnel== 10.9.0.2
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 120
need python3 getent

KILLS=200
PROGRAM=$CLIENT

# ---- an /etc for the client ----

host_etc() {
    ls -l /etc/resolv.conf* && cat /etc/resolv.conf
}
HOST_BEFORE=$(host_etc 2>&1 || true)

# Runs a command where /etc is $TMP/$ETC, if ETC ends in "mounted" with a resolv.conf that is mounted by itself, as in a container.
cat >"$TMP/inside" <<WRAPPER
#!/bin/sh
exec unshare -m sh -c '
    mount --make-rprivate / && mount --bind $TMP/\$ETC /etc || exit 99
    [ ! -e $TMP/\$ETC.file ] || mount --bind $TMP/\$ETC.file /etc/resolv.conf || exit 99
    [ -z "\$ETC_MOUNTS" ] || eval "\$ETC_MOUNTS" || exit 99
    [ -e /etc/private ] || exit 99
    export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$TMP/no-bus
    exec "\$@"' sh "\$@"
WRAPPER
printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$TMP/inside" "$PROGRAM" >"$TMP/client"
chmod 755 "$TMP" "$TMP/inside" "$TMP/client"
export ETC=folder ETC_MOUNTS=

make_etc() { # NAME
    mkdir -m 755 "$TMP/$1"
    : >"$TMP/$1/private"
    echo '127.0.0.1 localhost' >"$TMP/$1/hosts"
    echo 'hosts: files dns' >"$TMP/$1/nsswitch.conf"
    chmod 644 "$TMP/$1"/*
    : >"$TMP/$1/resolv.conf"
}

file() {
    if [[ -e $TMP/$ETC.file ]]; then echo "$TMP/$ETC.file"; else echo "$TMP/$ETC/resolv.conf"; fi
}

original() { # writes it, without a line feed at its end
    printf '# by hand\nnameserver 192.0.2.2\noptions timeout:1 attempts:1 ndots:3' >"$TMP/original"
    cat "$TMP/original" >"$(file)"
}

check_original() {
    cmp -s "$TMP/original" "$(file)" || fail "$*: the file is not as before: $(cat -A "$(file)")"
}

is_ours() {
    head -n 1 "$(file)" | grep -qx '# BEGIN Firezone DNS configuration'
}

finds() { # NAME
    LIMIT=4 in_ns a "$TMP/inside" getent ahostsv4 "$1" >/dev/null
}

check_outside() {
    finds out.test || fail "$*: the network's own DNS server is not asked"
}

check_inside() {
    # The peer answers only so many handshakes a second.
    eventually 15 finds in.test || fail "$*: the tunnel's DNS server is not asked"
    finds host || fail "$*: the search domain is not used"
    ! finds out.test || fail "$*: the network's own DNS server is asked"
}

# dns_up [OPTION...]: with $TMP/a.conf
dns_up() {
    CLIENT=$TMP/client tunnel_up a a ours "$@"
}

dns_server() { # NAME ADDRESS NAME=ADDRESS...
    local name=$1 address=$2
    shift 2
    spawn "$name" b python3 "$ROOT/tests/support/dns_server.py" "$address" "$TMP/no-flags" "$@"
    eventually 5 grep -qx ready "$TMP/$name.log" || fail "no DNS server: $(cat "$TMP/$name.log")"
}

outer_server() {
    rm -f "$TMP/outer.log"
    dns_server outer "$OUTER_B4" out.test=192.0.2.9 peer.test="$OUTER_B4"
    OUTER_PID=$SPAWNED
}

# fails_to_start TEXT [OPTION...]: with one line that has the text and how to do without; the file is as before
fails_to_start() {
    local text=$1 status=0
    shift
    in_ns a "$TMP/client" wireguard --config "$TMP/a.conf" --tun "$(tun a)" "$@" >"$TMP/out" 2>&1 || status=$?
    [[ $status -eq 1 ]] || fail "exit code $status instead of 1: $(cat "$TMP/out")"
    grep -q "^firezone-headless-client: .*$text" "$TMP/out" || fail "it does not say '$text': $(cat "$TMP/out")"
    grep -q '^firezone-headless-client: .*--dns-control.* disabled' "$TMP/out" || fail "no way out: $(cat "$TMP/out")"
}

# The product's start gives back what a killed run has left.
recover() {
    in_ns a env FIREZONE_TOKEN=x FIREZONE_ID=id "$TMP/client" --check >"$TMP/out" 2>&1 || fail "--check: $(cat "$TMP/out")"
}

config_dns() { # LINE...: the usual pair's configuration with lines more for a
    pair_conf 4 ab
    printf '%s\n' "$@" >"$TMP/lines"
    sed -i "/^Address/r $TMP/lines" "$TMP/a.conf"
}

pair_net
make_etc folder
make_etc mounted
: >"$TMP/mounted.file"
chmod 640 "$TMP/folder/resolv.conf" "$TMP/mounted.file"
config_dns "DNS = $INNER_B4, lab.test" "DNS = $INNER_B6"
tunnel_up b b ours
outer_server
dns_server inner "$INNER_B4" in.test=10.9.0.9 host.lab.test=10.9.0.8

for ETC in folder mounted; do
    say "$ETC: the tunnel's servers while it is up, the file as before when it is not"
    original
    check_outside "at first"
    dns_up
    is_ours || fail "the file is not ours: $(cat "$(file)")"
    grep -qx 'options timeout:1 attempts:1 ndots:1' "$(file)" || fail "options: $(cat "$(file)")"
    check_inside "up"
    [[ $(stat -c %a "$(file)") == 640 ]] || fail "the file's mode has changed"
    tunnel_down a
    check_original "after the end"
    check_outside "after the end"

    say "$ETC: a second client does not take it, and does not give it back"
    dns_up
    sed "s/^ListenPort.*//" "$TMP/a.conf" >"$TMP/second.conf"
    status=0
    in_ns a "$TMP/client" wireguard --config "$TMP/second.conf" --tun "$(tun c)" >"$TMP/out" 2>&1 || status=$?
    [[ $status -eq 1 ]] || fail "second: exit code $status: $(cat "$TMP/out")"
    grep -q "another process has the system's DNS" "$TMP/out" || fail "second: $(cat "$TMP/out")"
    check_inside "beside a second client"

    say "$ETC: after a kill the next start gives it back"
    tunnel_kill a
    is_ours || fail "the file is not ours after a kill"
    recover
    check_original "after a kill"
    check_outside "after a kill"
    grep -q 'has its text from before again' "$TMP/out" || fail "nothing is said about it: $(cat "$TMP/out")"
    dns_up
    tunnel_kill a
    dns_up
    check_inside "right after a start after a kill"
    tunnel_down a
    check_original "after a kill, a start and an end"

    say "$ETC: what others write stays"
    dns_up
    printf 'nameserver 192.0.2.2\n' >"$(file)"
    eventually 5 grep -q 'resolv.conf was changed by another program' "$TMP/a.log" || fail "it is not noticed"
    check_outside "changed by another program"
    tunnel_down a
    [[ $(cat "$(file)") == 'nameserver 192.0.2.2' ]] || fail "what another program wrote is gone"
    original
done

ETC=folder
say "an endpoint's name is asked for where it is known, before the tunnel's servers are, however long that takes"
cp "$TMP/a.conf" "$TMP/kept.conf"
sed -i "s/^Endpoint = .*/Endpoint = peer.test:$PORT_B/" "$TMP/a.conf"
kill "$OUTER_PID"
wait "$OUTER_PID" || true
: >"$TMP/a.log"
T_WARN[a]=' WARN resolve: peer\.test'
dns_up
eventually 10 grep -q 'peer\.test' "$TMP/a.log" || fail "nothing is said about the name that is not found"
check_original "before the endpoint's name is known"
outer_server
eventually 20 is_ours || fail "the tunnel's servers are never taken"
check_inside "with a named endpoint"
tunnel_down a
check_original "with a named endpoint"
cp "$TMP/kept.conf" "$TMP/a.conf"

say "no way to write it: a link, no right, a full disk; or not wanted"
ln -sf /run/elsewhere/resolv.conf "$TMP/folder/resolv.conf"
fails_to_start 'is a symbolic link'
ln -sf ../run/systemd/resolve/stub-resolv.conf "$TMP/folder/resolv.conf"
fails_to_start 'systemd-resolved does not run'
fails_to_start 'is a symbolic link' --dns-control etc-resolv-conf
rm "$TMP/folder/resolv.conf"
fails_to_start 'does not exist'
original
ETC_MOUNTS='mount --bind /etc/resolv.conf /etc/resolv.conf && mount -o remount,bind,ro /etc/resolv.conf' \
    fails_to_start 'cannot be written: Read-only file system'
check_original "read-only"
ETC_MOUNTS="mount -t tmpfs -o size=8k,mode=755 tmpfs /etc && : >/etc/private && cp $TMP/original /etc/resolv.conf && cat /dev/zero >/etc/full; \
    trap 'cp /etc/resolv.conf $TMP/after' EXIT; \"\$@\"; exit" fails_to_start 'cannot be written: No space left on device'
cmp "$TMP/original" "$TMP/after" || fail "a full disk has changed the file"
: >"$TMP/a.log"
T_WARN[a]=' WARN dns: '
dns_up --dns-control disabled
check_original "disabled"
check_outside "disabled"
tunnel_down a
check_original "disabled, after the end"
config_dns "DNS = lab.test"
dns_up
check_original "no server"
check_outside "no server"
tunnel_down a
[[ $(grep -c ' WARN dns: the system.s DNS stays as it is' "$TMP/a.log") -eq 2 ]] || fail "not said: $(cat "$TMP/a.log")"
cp "$TMP/kept.conf" "$TMP/a.conf"

say "killed at $KILLS moments of its life"
# start: in the background, its process id in $PID. Not spawn: its log is of no interest, and nothing checks it.
start() {
    ETC=$ETC ip netns exec "$(ns a)" "$TMP/client" wireguard --config "$TMP/a.conf" --tun "$(tun a)" --io epoll --workers 1 \
        --no-steering >"$TMP/killed.log" 2>&1 </dev/null &
    PID=$!
}
wait_ours() {
    for _ in {1..1000}; do
        ! is_ours || return 0
        kill -0 "$PID" 2>/dev/null || return 1
        sleep 0.005
    done
    return 1
}
RIG_SOCKETS+=("$RUN_DIR/$(tun a).sock")
from=$(now_ms)
start
wait_ours || fail "it does not start: $(cat "$TMP/killed.log")"
up=$(($(now_ms) - from))
kill -TERM "$PID"
wait "$PID" || fail "exit code $?"
down=$(($(now_ms) - from - up))
say "up after $up ms, down after $down ms"
declare -A found=()
for ((i = 0; i < KILLS; i++)); do
    [[ $((i % 2)) -eq 0 ]] && ETC=folder || ETC=mounted
    start
    if [[ $((i % 4)) -lt 2 ]]; then
        at=$((RANDOM * (up + 10) / 32768))
    else
        wait_ours || true
        kill -TERM "$PID" 2>/dev/null || true
        at=$((RANDOM * (down + 2) / 32768))
    fi
    sleep "$(printf '0.%03d' "$at")"
    kill -KILL "$PID" 2>/dev/null || true
    wait "$PID" 2>/dev/null || true
    if cmp -s "$TMP/original" "$(file)"; then state=original; elif is_ours; then state=ours; else state=between; fi
    found[$state]=$((${found[$state]:-0} + 1))
    grep -q '^nameserver ' "$(file)" || fail "kill $i: no server in the file"
    if [[ $((i % 20)) -ge 18 ]]; then
        start
        wait_ours || fail "kill $i: it does not start again: $(cat "$TMP/killed.log")"
        check_inside "kill $i: started again"
        kill -TERM "$PID"
        wait "$PID" || fail "kill $i: exit code $?"
    else
        recover
    fi
    check_original "kill $i at $at ms ($state)"
done
say "found: original ${found[original]:-0}, ours ${found[ours]:-0}, between ${found[between]:-0}"
[[ ${found[ours]:-0} -gt 10 && ${found[original]:-0} -gt 10 ]] || fail "the kills were not where the file changes"
for ETC in folder mounted; do
    check_outside "in the end"
done

[[ $(host_etc 2>&1 || true) == "$HOST_BEFORE" ]] || fail "the /etc of this machine has changed"
rig_end
