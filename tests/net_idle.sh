#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# An idle tunnel does not wake up: in 10 s without a keepalive due, no thread of the process leaves its sleep. Seen from
# outside, by the context switches of each thread.
#
#     [a] ==== [b]     with a session, and with no peer that ever answered
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 90

[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "says nothing about other implementations"
IDLE=10

switches() { # NAME: one line per thread: thread id, name, voluntary switches
    local task
    for task in /proc/"${T_PID[$1]}"/task/*; do
        printf '%s %s %s\n' "${task##*/}" "$(tr ' ' '_' <"$task/comm")" \
            "$(awk '/^voluntary_ctxt_switches/ { print $2 }' "$task/status")"
    done
}

pair_net
iperf_server b
backends=()
for backend in $(backends); do
    backends+=("$backend")
done
# All at once: each backend has a pair of tunnels with other ports and addresses.
i=0
for backend in "${backends[@]}"; do
    i=$((i + 1))
    conf "a$i" "5182$i" "Address = 10.9.$i.1/24" "MTU = 1420"
    conf_peer "a$i" "b$i" "10.9.$i.2/32" "Endpoint = 192.0.2.2:5183$i"
    conf "b$i" "5183$i" "Address = 10.9.$i.2/24" "MTU = 1420"
    conf_peer "b$i" "a$i" "10.9.$i.1/32"
    # A peer that was never spoken to.
    conf "c$i" "5184$i" "Address = 10.8.$i.1/24" "MTU = 1420"
    conf_peer "c$i" "b$i" "10.8.$i.2/32" "Endpoint = 192.0.2.2:5199$i"
    tunnel_up "a$i" a ours --io "$backend" --workers 2
    tunnel_up "b$i" b ours --io "$backend" --workers 2
    tunnel_up "c$i" a ours --io "$backend" --workers 2
    eventually 5 one_ping a "10.9.$i.2" || fail "no tunnel"
    check_tcp a "10.9.$i.2" 1
done

# After data, each side owes at most one keepalive 10 s after the last packet it received, and looks for an answer 15 s
# after the last data it sent; a timer that was put off in between may run once more.
say "waiting until no keepalive is due"
sleep 22
for name in "${!T_PID[@]}"; do
    switches "$name" >"$TMP/$name.before"
done
sleep "$IDLE"
for name in "${!T_PID[@]}"; do
    switches "$name" >"$TMP/$name.after"
    difference=$(diff "$TMP/$name.before" "$TMP/$name.after" | grep '^[<>]' || true)
    [[ -z $difference ]] || fail "tunnel $name woke up in $IDLE idle seconds (thread, name, switches):"$'\n'"$difference"
    say "  $name: $(wc -l <"$TMP/$name.after") threads, none woke up"
done
rig_end
