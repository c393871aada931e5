#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 100 changes of the sockets (SIGHUP) under load, with each I/O backend: the port is never found in use, no old socket
# lives on, the numbered flow and the TCP connection inside go on.
#
#     [a] roams ----- [b]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 100

[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "only ours roams on SIGHUP"
ROAMS=100
workers=3

# sockets: "FILE PORT_HEX N", how many UDP sockets of a are on each port in each family; 1B58 (7000) is the test's own.
sockets() {
    in_ns a awk 'FNR > 1 { split($2, at, ":"); n[FILENAME " " at[2]]++ } END { for (k in n) print k, n[k] }' \
        /proc/net/udp /proc/net/udp6 | grep -v ' 1B58 ' | sort
}

sockets_as_first() {
    [[ $(sockets) == "$first" ]]
}

pair_net
iperf_server b
for backend in $(backends); do
    say "--io $backend --workers $workers"
    pair_conf 4 a
    T_ERRORS[a]=out_no_socket # between the old sockets and the new
    tunnel_up a a ours --io "$backend" --workers "$workers"
    tunnel_up b b "${FZ_IMPL_B:-ours}"
    eventually 5 one_ping a "$INNER_B4" || fail "no tunnel"

    flow_receiver flow-in a 7000 -t 60 -i 2000
    first=$(sockets)
    port=$(printf '%04X' $PORT_A)
    # One socket for each worker, and what else the engine keeps; the same number for both families.
    number=$(awk -v port="$port" '$2 == port { print $3 }' <<<"$first" | sort -u)
    [[ $(grep -c " $port " <<<"$first") -eq 2 && $number =~ ^[0-9]+$ && $number -ge $workers ]] ||
        fail "expected $workers sockets or more of each family on $port: $first"
    mbits a "$INNER_B4" 12 >"$TMP/tcp" 2>"$TMP/tcp.log" &
    tcp=$!
    RIG_PIDS+=("$tcp")
    flow_sender from-b b 7000 "$INNER_A4" -f 4 -r 1000 -s 400 -t 12
    sleep 0.5

    over=0
    for ((i = 0; i < ROAMS; i++)); do
        kill -HUP "${T_PID[a]}"
        sleep 0.04
        now=$(sockets | awk -v port="$port" '$2 == port { if ($3 > n) n = $3 } END { print n + 0 }')
        [[ $now -le $number ]] || over=$((over + 1))
    done
    [[ $over -eq 0 ]] || fail "$over times more than $number sockets on the port"
    eventually 3 sockets_as_first || fail "sockets were $first, now $(sockets)"
    wait "$tcp" || fail "the TCP connection inside did not survive: $(cat "$TMP/tcp.log")"
    say "  TCP during the roams: $(cat "$TMP/tcp") Mbit/s"
    [[ $(cat "$TMP/tcp") -ge 1 ]] || fail "TCP carried nothing"
    flow_end from-b 10
    flow_end flow-in 10
    say "  flow from b: $(cat "$TMP/from-b.log"), $(cat "$TMP/flow-in.log")"
    # Datagrams that arrive between the old socket and the new one are lost, but never for long.
    [[ $(word gap_ms "$TMP/flow-in.log") -lt 1000 ]] || fail "a flow was silent for $(word gap_ms "$TMP/flow-in.log") ms"
    [[ $(word received "$TMP/flow-in.log") -gt $(($(word sent "$TMP/from-b.log") / 2)) ]] || fail "more than half was lost"

    # Every flow reaches the new sockets: none is swallowed by one that lives on unseen.
    for _ in {1..20}; do
        check_ping b "$INNER_A4"
    done
    ! grep -qi 'in use' "${T_LOG[a]}" || fail "address in use: $(grep -i 'in use' "${T_LOG[a]}" | head -n 1)"
    pair_down
done
rig_end
