#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make demo` runs (as root): our tunnel at both ends, wireguard-go at both ends, and one of each, between two
# network namespaces. Each moves a file, whose checksum is compared, and TCP for a few seconds in interleaved rounds; at
# the end comes a table. Takes two to three minutes and leaves nothing behind, also when interrupted.
#
#     [a] a1 ===== b1 [b]   ours and ours
#         a2 ===== b2       ours and wireguard-go
#         a3 ===== b3       wireguard-go and wireguard-go
#
# DEMO_ROUNDS (3), DEMO_SECONDS (4) per direction, DEMO_MIB (256) change the size.
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/../tests/support/netns.sh"
skip() { fail "$@"; }

ROUNDS=${DEMO_ROUNDS:-3}
SECONDS_EACH=${DEMO_SECONDS:-4}
MIB=${DEMO_MIB:-256}
rows=(1 2 3)
impls_a=(ours ours wireguard-go) impls_b=(ours wireguard-go wireguard-go)
[[ -z ${FZ_IMPL_A:-} ]] || impls_a=("$FZ_IMPL_A" "$FZ_IMPL_A" wireguard-go)
[[ -z ${FZ_IMPL_B:-} ]] || impls_b=("$FZ_IMPL_B" wireguard-go wireguard-go)

title() { # ROW
    printf '%s - %s' "${impls_a[$1 - 1]}" "${impls_b[$1 - 1]}"
}

python=/usr/bin/python3
[[ -x $python ]] || python=$(command -v python3)

# A TCP connection that carries one file: the receiver prints the SHA-256 of what came.
receive_file='
import hashlib, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 9000)); s.listen(1); s.settimeout(60)
c, _ = s.accept(); h = hashlib.sha256()
while True:
    d = c.recv(1 << 20)
    if not d: break
    h.update(d)
print(h.hexdigest())'
send_file='
import socket, sys
s = socket.create_connection((sys.argv[1], 9000), 10)
s.settimeout(60)
with open(sys.argv[2], "rb") as f: s.sendfile(f)
s.shutdown(socket.SHUT_WR); s.recv(1)'

file_listens() { # ADDRESS
    ss -N "$(ns b)" -Hltn "src $1 and sport = :9000" | grep -q .
}

move_file() { # ROW
    local to=10.9.$1.2 start
    spawn "file$1" b "$python" -c "$receive_file" "$to"
    local receiver=$SPAWNED
    eventually 5 file_listens "$to" || fail "cannot receive the file: $(cat "$TMP/file$1.log")"
    start=$(now_ms)
    LIMIT=70 in_ns a "$python" -c "$send_file" "$to" "$TMP/file" || fail "$(title "$1"): cannot send the file"
    finish "$receiver" 10 || fail "$(title "$1"): the file did not arrive"
    local sum
    sum=$(tail -n 1 "$TMP/file$1.log")
    [[ $sum == "$file_sum" ]] || fail "$(title "$1"): the file arrived damaged: $sum instead of $file_sum"
    say "$(title "$1"): $MIB MiB in $(($(now_ms) - start)) ms, SHA-256 equal"
}

# round_trips FILE ADDRESS COUNT INTERVAL: appends milliseconds to FILE
round_trips() {
    LIMIT=30 in_ns a ping -n -c "$3" -i "$4" -W 2 "$2" 2>/dev/null | sed -n 's/.* time=\([0-9.]*\) ms$/\1/p' >>"$1" || true
}

ticks() { # ROW: of both ends
    echo $(($(process_ticks "${T_PID[a$1]}") + $(process_ticks "${T_PID[b$1]}")))
}

# measure ROW [--reverse]: one TCP stream, with pings beside it in the forward direction
measure() {
    local row=$1 pinger='' before got
    shift
    if [[ $# -eq 0 ]]; then
        (
            trap - ERR
            sleep 0.7
            round_trips "$TMP/loaded$row" "10.9.$row.2" $((SECONDS_EACH * 20 - 25)) 0.05
        ) &
        pinger=$!
    fi
    before=$(ticks "$row")
    got=$(mbits a "10.9.$row.2" "$SECONDS_EACH" "$@")
    echo "$got" >>"$TMP/${1:-forward}$row"
    # ticks of 10 ms over seconds, per Gbit/s
    awk -v t=$(($(ticks "$row") - before)) -v s="$SECONDS_EACH" -v m="$got" \
        'BEGIN { if (m > 0) printf "%.3f\n", t / 100 / s / (m / 1000) }' >>"$TMP/cpu$row"
    [[ -z $pinger ]] || wait "$pinger" || true
}

median_of() { # FILE
    sort -g "$1" 2>/dev/null | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print 0 }'
}

# ratio ROW: to the last row, the median over both ways of each round, so that a noisy minute hits both
ratio() {
    paste <(cat "$TMP/forward$1" "$TMP/--reverse$1") <(cat "$TMP/forward3" "$TMP/--reverse3") |
        awk '$2 > 0 { print $1 / $2 }' >"$TMP/ratio"
    median_of "$TMP/ratio"
}

table() {
    local row
    printf '\n%-30s %9s %9s %10s %10s %11s %9s\n' '' 'TCP' 'back' 'RTT idle' 'loaded' 'CPU cores' 'against'
    printf '%-30s %9s %9s %10s %10s %11s %9s\n' 'tunnel' 'Gbit/s' 'Gbit/s' 'ms (p50)' 'ms (p50)' 'per Gbit/s' 'wg-go'
    for row in "${rows[@]}"; do
        printf '%s|%s|%s|%s|%s|%s|%s\n' "$(title "$row")" "$(median_of "$TMP/forward$row")" \
            "$(median_of "$TMP/--reverse$row")" "$(median_of "$TMP/idle$row")" "$(median_of "$TMP/loaded$row")" \
            "$(median_of "$TMP/cpu$row")" "$(ratio "$row")" |
            awk -F'|' '{ printf "%-30s %9.2f %9.2f %10.2f %10.2f %11.2f %8.2fx\n", $1, $2 / 1000, $3 / 1000, $4, $5, $6, $7 }'
    done
    printf '\n%s\n' "Medians of $ROUNDS rounds, the rows interleaved; one TCP stream of $SECONDS_EACH s each way, tunnel MTU 1420, link MTU 1500." \
        "CPU: user and system time of the two tunnel processes. $(nproc) CPUs carry everything: both ends and the traffic."
}

rig_begin 280
require_impl "${impls_a[@]}" "${impls_b[@]}"
need python3
say "two namespaces, three tunnels"
ns_add a b
link a b 2
iperf_server b
for row in "${rows[@]}"; do
    conf "a$row" "5182$row" "Address = 10.9.$row.1/24" "MTU = 1420"
    conf_peer "a$row" "b$row" "10.9.$row.2/32" "Endpoint = 192.0.2.2:5183$row"
    conf "b$row" "5183$row" "Address = 10.9.$row.2/24" "MTU = 1420"
    conf_peer "b$row" "a$row" "10.9.$row.1/32" "Endpoint = 192.0.2.1:5182$row"
    tunnel_up "a$row" a "${impls_a[row - 1]}"
    tunnel_up "b$row" b "${impls_b[row - 1]}"
    eventually 5 one_ping a "10.9.$row.2" || fail "$(title "$row"): no answer through the tunnel"
    [[ ${impls_a[row - 1]} != ours ]] || say "$(title "$row"): $(sed -n 's/.* INFO main: //p' "${T_LOG[a$row]}" | head -n 1)"
done

say "moving a file of $MIB MiB through each"
head -c "$((MIB << 20))" /dev/urandom >"$TMP/file"
file_sum=$(sha256sum "$TMP/file" | cut -d ' ' -f 1)
for row in "${rows[@]}"; do
    move_file "$row"
done
rm "$TMP/file"
for row in "${rows[@]}"; do
    round_trips "$TMP/idle$row" "10.9.$row.2" 100 0.01
done
for ((round = 1; round <= ROUNDS; round++)); do
    for row in "${rows[@]}"; do
        measure "$row"
        measure "$row" --reverse
        say "round $round of $ROUNDS: $(title "$row"): $(tail -n 1 "$TMP/forward$row") Mbit/s, back $(tail -n 1 "$TMP/--reverse$row")"
    done
done
table
rig_end >"$TMP/end" || { cat "$TMP/end" && exit 1; }
say "done, nothing is left behind"
