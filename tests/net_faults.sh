#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Faults below and above the tunnel: devices down and up, addresses gone, firewalls, full queues, refused offloads, a
# starved CPU, a closed port, garbage. Nothing crashes, the counters tell, the tunnel works again when the fault is over.
#
#     [a] ===== [b]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 150
need nft ethtool socat taskset chrt tc

impl_a=${FZ_IMPL_A:-ours} impl_b=${FZ_IMPL_B:-wireguard-go}

works() { # WHAT [SECONDS]
    eventually "${2:-8}" one_ping a "$INNER_B4" || fail "$1: the tunnel does not work again"
    check_ping b "$INNER_A4"
}

# load SECONDS [RATE [FROM TO ADDRESS]]: numbered packets, from a to b, in the background; `unload` wants them in order
load() {
    flow_receiver load-in "${4:-b}" 7000 -t 60 -i 1000
    flow_sender load-out "${3:-a}" 7000 "${5:-$INNER_B4}" -f 8 -r "${2:-4000}" -s 1200 -t "$1"
}

unload() { # WHAT
    flow_end load-out 15
    flow_end load-in 15
    say "  $1: $(cat "$TMP/load-out.log"), $(cat "$TMP/load-in.log")"
    [[ $(word duplicates "$TMP/load-in.log") -eq 0 ]] || fail "$1: duplicates"
}

# counted COUNTER: grew since the last call for it
declare -A counted_before=()
counted() {
    [[ ${T_IMPL[a]} == ours ]] || return 0
    counters a
    local now
    now=$(counter a "$1")
    [[ $now -gt ${counted_before[$1]:-0} ]] || fail "counter $1 did not grow: $now"
    say "  counter $1: $now"
    counted_before[$1]=$now
}

tun_down_up() {
    say "the TUN goes down and up"
    load 2.5
    sleep 0.5
    ip -n "$(ns a)" link set "${T_TUN[a]}" down
    sleep 1
    ip -n "$(ns a)" link set "${T_TUN[a]}" up
    works "TUN down and up"
    unload "TUN down and up"
    # Now at the receiving end: writing to it fails there.
    load 2 4000 b a "$INNER_A4"
    sleep 0.5
    ip -n "$(ns a)" link set "${T_TUN[a]}" down
    sleep 0.7
    ip -n "$(ns a)" link set "${T_TUN[a]}" up
    works "TUN of the receiver down and up"
    unload "TUN of the receiver down and up"
    counted in_tun_failed
}

underlay() {
    say "the link goes down and up"
    load 2.5
    sleep 0.5
    ip -n "$(ns a)" link set a-b down
    sleep 1
    ip -n "$(ns a)" link set a-b up
    works "link down and up"
    unload "link down and up"
    counted out_no_source # what leads nowhere is dropped

    say "the address goes away and comes back"
    load 2.5
    sleep 0.5
    ip -n "$(ns a)" address del 192.0.2.1/24 dev a-b
    sleep 1
    address a a-b 192.0.2.1/24
    works "address removed and added"
    unload "address removed and added"
}

firewall() {
    say "a local firewall denies"
    load 2.2
    sleep 0.5
    printf 'table inet fz_deny { chain o { type filter hook output priority 0; oifname "a-b" meta l4proto udp drop\n }\n }\n' |
        in_ns a nft -f -
    sleep 1
    in_ns a nft delete table inet fz_deny
    works "firewall"
    unload firewall
    counted out_denied
}

full_queue() {
    if ! ip netns exec "$(ns a)" tc qdisc add dev a-b root tbf rate 20mbit burst 20kb limit 3mb 2>"$TMP/tc"; then
        say "a slow link: left out, $(head -n 1 "$TMP/tc")"
        return
    fi
    say "a slow link: the socket's queue is full"
    load 2 20000
    unload "slow link"
    in_ns a tc qdisc del dev a-b root
    works "slow link"
}

offloads() {
    say "the device cannot checksum: segmented sends may be refused"
    in_ns a ethtool -K a-b tx off >/dev/null 2>&1 || say "  ethtool cannot change that here"
    check_tcp a "$INNER_B4" 1
    in_ns a ethtool -K a-b tx on >/dev/null 2>&1 || true
    check_tcp a "$INNER_B4" 1
    say "the link's MTU shrinks below the segments while they flow"
    mbits a "$INNER_B4" 3 >"$TMP/tcp" 2>"$TMP/tcp.log" &
    local tcp=$!
    sleep 1
    ip -n "$(ns a)" link set a-b mtu 1400
    sleep 1
    ip -n "$(ns a)" link set a-b mtu 1500
    wait "$tcp" || fail "TCP did not survive: $(cat "$TMP/tcp.log")"
    works "MTU"
}

starved() {
    say "a worker is starved"
    load 2 8000
    local cpu hogs=()
    for cpu in 0 1; do
        spawn "hog$cpu" a timeout 0.7 chrt -f 50 taskset -c "$cpu" sh -c 'while :; do :; done'
        hogs+=("$SPAWNED")
        finish "$SPAWNED" 5 || true
    done
    unload starved
    works "starved worker"
}

closed_port() {
    say "the peer's port is closed: ICMP unreachable"
    tunnel_kill b
    in_ns a ping -n -q -c 30 -i 0.05 -W 1 "$INNER_B4" >/dev/null || true
    kill -0 "${T_PID[a]}" || fail "a did not survive that"
    tunnel_up b b "$impl_b"
    eventually 8 one_ping b "$INNER_A4" || fail "the tunnel does not work after the peer's return"
    works "closed port"
}

garbage() {
    local size type
    say "garbage of all sizes"
    for size in 0 1 3 4 15 16 31 32 33 63 64 92 93 147 148 149 1472 65507; do
        for type in '' 1 2 3 4 5; do
            head -c "$size" /dev/urandom >"$TMP/datagram"
            # shellcheck disable=SC2059
            [[ -z $type || $size -lt 4 ]] ||
                printf "\\x$(printf %02x "$type")\\0\\0\\0" | dd of="$TMP/datagram" conv=notrunc status=none
            in_ns b socat -u -b 65507 "OPEN:$TMP/datagram" "UDP4:$OUTER_A4:$PORT_A" 2>/dev/null || true
        done
    done
    works garbage
    counted in_malformed
}

pair_net
iperf_server b
pair_conf 4 ab
T_ERRORS[a]='out_(path_lost|no_source|denied|no_buffer|send_failed|send_too_big|handoff_full)|in_(tun_failed|malformed|bad_tag|truncated|handshake_full)'
T_ERRORS[b]=${T_ERRORS[a]}
for backend in $(backends); do
    say "$impl_a - $impl_b, --io $backend"
    counted_before=()
    # shellcheck disable=SC2046
    tunnel_up a a "$impl_a" $(io_option "$backend") --workers 2
    # shellcheck disable=SC2046
    tunnel_up b b "$impl_b" $(io_option "$backend")
    works start
    tun_down_up
    underlay
    firewall
    full_queue
    garbage
    if [[ $backend != epoll ]]; then # what does not depend on the backend, once
        offloads
        starved
        closed_port
    fi
    pair_down
done
rig_end
