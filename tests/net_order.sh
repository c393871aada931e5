#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Within a flow, packets arrive in the order they were sent: many flows, several peers, so several workers, with every
# I/O backend and both steering modes; and in bulk TCP no packet comes behind the replay window.
#
#     [a]     a   ===== p1 [b]    10.9.1.1 - 10.9.1.2
#      (4 workers) ==== p2 [b]    10.9.2.1 - 10.9.2.2
#                  ==== p3 [b]    10.9.3.1 - 10.9.3.2
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 130

impl_a=${FZ_IMPL_A:-ours} impl_b=${FZ_IMPL_B:-ours}
peers=(1 2 3)

ns_add a b
link a b 2
# The addresses' own networks are all the routes that are needed.
conf a 51820 "Address = 10.9.1.1/24, 10.9.2.1/24, 10.9.3.1/24" "MTU = 1420"
for i in "${peers[@]}"; do
    conf_peer a "p$i" "10.9.$i.2/32" "Endpoint = 192.0.2.2:5183$i"
    conf "p$i" "5183$i" "Address = 10.9.$i.2/24" "MTU = 1420"
    conf_peer "p$i" a "10.9.$i.1/32"
done
# There are more threads than processors: a worker that gets none for a while is passed over.
for it in a p1 p2 p3; do
    T_ERRORS[$it]='(out|in)_handoff_full'
done
iperf_server b

# run_flows TEXT FROM TO ADDRESSES OPTION...: a good second of numbered packets. Loss is permitted (the senders
# are faster than two cores may be), disorder is not.
run_flows() {
    local text=$1 from=$2 to=$3 addresses=$4 sent received
    shift 4
    flow_receiver receiver "$to" 7000 -t 20 -i 400
    flow_sender sender "$from" 7000 "$addresses" -t 1.2 "$@"
    flow_end sender 10
    flow_end receiver 10
    sent=$(word sent "$TMP/sender.log") received=$(word received "$TMP/receiver.log")
    say "  $text: sent $sent, $(cat "$TMP/receiver.log")"
    [[ $(word duplicates "$TMP/receiver.log") -eq 0 ]] || fail "$text: duplicates"
    [[ $received -gt $((sent / 20)) ]] || fail "$text: nearly nothing arrived"
}

# workers_used NAME: how many of its workers have moved packets
workers_used() {
    local task n=0
    for task in /proc/"${T_PID[$1]}"/task/*; do
        [[ $(cat "$task/comm") != fz-worker* ]] || [[ $(awk '/ctxt_switches/ { n += $2 } END { print n }' "$task/status") -lt 50 ]] || n=$((n + 1))
    done
    echo "$n"
}

check_replay() {
    local name
    for name in a p1 p2 p3; do
        [[ ${T_IMPL[$name]} == ours ]] || continue
        counters "$name"
        expect_counter "$name" replay_old == 0
        expect_counter "$name" replay_duplicate == 0
        expect_counter "$name" in_bad_tag == 0
    done
}

for backend in $(backends); do
    for steering in '' --no-steering; do
        say "$impl_a - $impl_b: --io $backend $steering"
        # shellcheck disable=SC2046,SC2086
        tunnel_start a a "$impl_a" $(io_option "$backend") --workers 4 $steering
        for i in "${peers[@]}"; do
            # shellcheck disable=SC2046
            tunnel_start "p$i" b "$impl_b" $(io_option "$backend") --workers 2
        done
        for name in a p1 p2 p3; do
            tunnel_wait "$name" || fail "tunnel $name did not get ready"
        done
        for i in "${peers[@]}"; do
            eventually 5 one_ping a "10.9.$i.2" || fail "no tunnel to p$i"
        done
        run_flows "single packets, out" a b 10.9.1.2,10.9.2.2,10.9.3.2 -f 48 -r 60000 -s 200
        run_flows "segmented, out" a b 10.9.1.2,10.9.2.2,10.9.3.2 -f 24 -r 60000 -s 1200 -g 20
        run_flows "single packets, in" b a 10.9.1.1,10.9.2.1,10.9.3.1 -f 48 -r 60000 -s 200
        run_flows "segmented, in" b a 10.9.1.1,10.9.2.1,10.9.3.1 -f 24 -r 60000 -s 1200 -g 20
        check_tcp a 10.9.1.2 1 --parallel 4
        check_tcp a 10.9.2.2 1 --parallel 4 --reverse
        check_replay
        [[ $impl_a != ours || $(workers_used a) -ge 2 ]] || fail "only $(workers_used a) workers were used"
        for name in a p1 p2 p3; do
            tunnel_down "$name"
        done
    done
done
rig_end
