#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 200
#
# One real rekey after 120 s while numbered packets flow both ways, in each role: nothing is lost, nothing reordered.
#
#     [a] a1 ===> b1 [b]   ours initiates, wireguard-go answers
#         a2 ===> b2       wireguard-go initiates, ours answers
#         a3 ===> b3       ours and ours
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 190

SECONDS_OF_TRAFFIC=128
tunnels=(1 2 3)
impls_a=(ours wireguard-go ours) impls_b=(wireguard-go ours ours)
if [[ -n ${FZ_IMPL_A:-} ]]; then
    impls_a=("$FZ_IMPL_A" "$FZ_IMPL_A" "$FZ_IMPL_A")
    impls_b=("$FZ_IMPL_B" "$FZ_IMPL_B" "$FZ_IMPL_B")
fi

ns_add a b
link a b 2
need tcpdump
spawn handshakes a tcpdump -Z root -l -n -tt -i a-b 'udp[8:4] = 0x01000000 or udp[8:4] = 0x02000000 or udp[8:4] = 0x03000000'
eventually 5 grep -q 'listening on' "$TMP/handshakes.log" || fail "tcpdump does not start"
declare -A first=()
for i in "${tunnels[@]}"; do
    conf "a$i" "5182$i" "Address = 10.9.$i.1/24" "MTU = 1420"
    conf_peer "a$i" "b$i" "10.9.$i.2/32" "Endpoint = 192.0.2.2:5183$i"
    conf "b$i" "5183$i" "Address = 10.9.$i.2/24" "MTU = 1420"
    conf_peer "b$i" "a$i" "10.9.$i.1/32" "Endpoint = 192.0.2.1:5182$i"
    tunnel_start "a$i" a "${impls_a[i - 1]}"
    tunnel_start "b$i" b "${impls_b[i - 1]}"
done
for i in "${tunnels[@]}"; do
    tunnel_wait "a$i" || fail "tunnel a$i did not get ready"
    tunnel_wait "b$i" || fail "tunnel b$i did not get ready"
    eventually 5 one_ping a "10.9.$i.2" || fail "no handshake by a$i (${impls_a[i - 1]})"
    first[$i]=$(handshake_time "a$i" "b$i")
done

# initiations PORT: the times of those sent from it, in seconds since the first
initiations() {
    awk -v port=".$1" '$3 ~ port "$" && / length 148/ { if (!first) first = $1; printf "%.3f ", $1 - first }' "$TMP/handshakes.log"
}

say "traffic for $SECONDS_OF_TRAFFIC s"
for i in "${tunnels[@]}"; do
    flow_receiver "at-b$i" b "700$i" -t 170 -i 3000
    flow_receiver "at-a$i" a "700$i" -t 170 -i 3000
done
for i in "${tunnels[@]}"; do
    flow_sender "from-a$i" a "700$i" "10.9.$i.2" -f 4 -r 400 -s 600 -t "$SECONDS_OF_TRAFFIC"
    flow_sender "from-b$i" b "700$i" "10.9.$i.1" -f 4 -r 400 -s 600 -t "$SECONDS_OF_TRAFFIC"
done

for i in "${tunnels[@]}"; do
    pair="${impls_a[i - 1]} -> ${impls_b[i - 1]}"
    for way in "from-a$i at-b$i" "from-b$i at-a$i"; do
        flow_end "${way% *}" $((SECONDS_OF_TRAFFIC + 10))
        flow_end "${way#* }" 10
        sent=$(word sent "$TMP/${way% *}.log") log=$TMP/${way#* }.log
        say "$pair: $way: sent $sent, $(cat "$log")"
        [[ $(word received "$log") -eq $sent && $(word duplicates "$log") -eq 0 ]] || fail "$pair: $way: loss"
    done
    for end in "a$i b$i" "b$i a$i"; do
        later=$(handshake_time "${end% *}" "${end#* }")
        [[ $later -ge $((first[$i] + 119)) && $later -le $((first[$i] + 128)) ]] ||
            fail "$pair: the handshakes of ${end% *} are $((later - first[$i])) s apart, not about 120"
    done
done
# One rekey each, by a: its session is the one in use. wireguard-go asks again now and then when the machine is busy, after 5 s, though no
# datagram is lost.
for i in "${tunnels[@]}"; do
    by_a=$(initiations "5182$i") by_b=$(initiations "5183$i")
    say "${impls_a[i - 1]} -> ${impls_b[i - 1]}: initiations by a: $by_a, by b: $by_b"
    [[ -z $by_b ]] || fail "b has initiated"
    repeats=0
    [[ ${impls_a[i - 1]} == ours ]] || repeats=6
    [[ $(tr ' ' '\n' <<<"$by_a" | awk -v repeats=$repeats '$1 > 60 && $1 - last > repeats { n++; last = $1 } END { print n + 0 }') -eq 1 ]] ||
        fail "a has not initiated exactly once more"
done
rig_end
