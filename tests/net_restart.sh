#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A peer that is killed and started anew has forgotten everything; the tunnel comes back whoever speaks first. A peer
# whose address or port changes is followed.
#
#     [a] a1 ===== b1 [b]   ours and wireguard-go
#         a2 ===== b2       wireguard-go and ours
#         a3 ===== b3       ours and ours
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 100

tunnels=(1 2 3)
impls_a=(ours wireguard-go ours) impls_b=(wireguard-go ours ours)
if [[ -n ${FZ_IMPL_A:-} ]]; then
    tunnels=(1 2)
    impls_a=("$FZ_IMPL_A" "$FZ_IMPL_A")
    impls_b=("$FZ_IMPL_B" "$FZ_IMPL_B")
fi

ns_add a b
link a b 2
for i in "${tunnels[@]}"; do
    conf "a$i" "5182$i" "Address = 10.9.$i.1/24" "MTU = 1420"
    conf_peer "a$i" "b$i" "10.9.$i.2/32" "Endpoint = 192.0.2.2:5183$i"
    conf "b$i" "5183$i" "Address = 10.9.$i.2/24" "MTU = 1420"
    conf_peer "b$i" "a$i" "10.9.$i.1/32" "Endpoint = 192.0.2.1:5182$i"
    T_ERRORS[a$i]='out_(path_lost|no_source|no_socket)' # while a has no address; between its old sockets and the new
    tunnel_up "a$i" a "${impls_a[i - 1]}"
    tunnel_up "b$i" b "${impls_b[i - 1]}"
    eventually 5 one_ping a "10.9.$i.2" || fail "tunnel $i does not come up"
done

restart_b() {
    local i
    for i in "${tunnels[@]}"; do
        tunnel_kill "b$i"
    done
    for i in "${tunnels[@]}"; do
        tunnel_up "b$i" b "${impls_b[i - 1]}"
    done
}

say "b restarts and speaks first"
restart_b
for i in "${tunnels[@]}"; do
    eventually 6 one_ping b "10.9.$i.1" || fail "${impls_b[i - 1]} after a restart does not reach ${impls_a[i - 1]}"
done

# a notices after KEEPALIVE + REKEY timeouts, 15 s, without an answer; a retry may follow 5 s later.
say "b restarts and is silent; a goes on sending"
restart_b
declare -A waiting=()
for i in "${tunnels[@]}"; do
    (
        trap - ERR
        start=$(now_ms)
        eventually 25 one_ping a "10.9.$i.2" && echo $(($(now_ms) - start)) >"$TMP/back$i"
    ) &
    waiting[$i]=$!
done
for i in "${tunnels[@]}"; do
    wait "${waiting[$i]}" || fail "${impls_a[i - 1]} does not notice that ${impls_b[i - 1]} restarted"
    say "  ${impls_a[i - 1]} -> ${impls_b[i - 1]}: back after $(cat "$TMP/back$i") ms"
done

say "a's port changes"
for i in "${tunnels[@]}"; do
    wg set "${T_TUN[a$i]}" listen-port "5192$i"
    eventually 6 one_ping a "10.9.$i.2" || fail "${impls_a[i - 1]}: nothing from the new port"
    [[ $(wg show "${T_TUN[b$i]}" endpoints) == *192.0.2.1:5192$i ]] || fail "${impls_b[i - 1]} did not follow the port"
    check_ping b "10.9.$i.1"
done

say "a's address changes"
ip -n "$(ns a)" address del 192.0.2.1/24 dev a-b
address a a-b 192.0.2.11/24
for i in "${tunnels[@]}"; do
    eventually 8 one_ping a "10.9.$i.2" || fail "${impls_a[i - 1]}: nothing from the new address"
    [[ $(wg show "${T_TUN[b$i]}" endpoints) == *192.0.2.11:5192$i ]] || fail "${impls_b[i - 1]} did not follow the address"
    check_ping b "10.9.$i.1"
done
rig_end
