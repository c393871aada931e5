#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `fzbench net --firezone` measures the product beside a plain tunnel, says what it cannot, and leaves nothing behind. It makes its
# own namespaces; this test only looks from outside. How fast it is depends on the machine, so it does not matter here.
#
#     [client] == [router] == [gateway] == [server]     the product, and a plain tunnel on hosts of the same kind
#                    '== [portal, relay]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/bench.sh
. "$(dirname "$0")/support/bench.sh"
rig_begin 120
bench_begin ours
command -v nft >/dev/null || skip "nft is not installed"

say "what cannot work"
refused 1 "firezone: .* is not a program" --firezone --client "$TMP/nothing"
refused 1 "did not start.*nothing" --firezone --client /bin/false

say "both tunnels"
begins
"$FZBENCH" net --firezone --client "$CLIENT" --rounds 2 --seconds 0.5 --json "$json" >"$TMP/out" 2>"$TMP/err" ||
    fail "exit code $?: $(tail -n 3 "$TMP/err")"
has_rows mtu1280 firezone wireguard ratio-wireguard -- tcp{1,4}/{forward,forward-cpu,forward-client,forward-gateway,back,rss}
for row in tcp{1,4}/{forward,back}; do
    grep -qE "net/$row/mtu1280/ratio-wireguard .*goal: at least 0.85, (met|missed)" "$TMP/out" || fail "no goal of $row: $(cat "$TMP/out")"
done
# The ratios are the end of it, so that they are seen.
ratios=$(grep -c ratio-wireguard "$TMP/out")
[[ $(tail -n "$ratios" "$TMP/out" | grep -c ratio-wireguard) -eq $ratios ]] || fail "the ratios are not at the end: $(cat "$TMP/out")"
"$FZBENCH" diff "$json" "$json" >"$TMP/out" || fail "fzbench diff does not take the result"
! grep -q warning "$TMP/err" || fail "a warning: $(cat "$TMP/err")"
rm "$json"
nothing_left "a whole run"

say "a resource with a name"
"$FZBENCH" net --firezone --resource name --client "$CLIENT" --rounds 1 --seconds 0.5 --json "$json" >"$TMP/out" 2>"$TMP/err" ||
    fail "exit code $?: $(tail -n 3 "$TMP/err")"
has_rows mtu1280 firezone-name wireguard ratio-wireguard -- tcp{1,4}/{forward,back}
! grep -q warning "$TMP/err" || fail "a warning: $(cat "$TMP/err")"
rm "$json"
nothing_left "a resource with a name"

say "parts of other runs, without offloads"
"$FZBENCH" net --firezone --client "$CLIENT" --rounds 1 --seconds 0.2 --only rtt,cpu,paced --rate 0.1 --workers 1 --offloads off \
    --json "$json" >"$TMP/out" 2>"$TMP/err" || fail "exit code $?: $(tail -n 3 "$TMP/err")"
has_rows mtu1280-offloads-off firezone wireguard ratio-wireguard -- rtt/idle-p50 rtt/loaded-p99 cpu/rate paced/rate paced/gateway
rm "$json"
nothing_left "other parts"

say "the client's DNS service"
"$FZBENCH" net --firezone --client "$CLIENT" --rounds 1 --seconds 0.5 --only dns --dns-rate 1000 --json "$json" \
    >"$TMP/out" 2>"$TMP/err" || fail "exit code $?: $(tail -n 3 "$TMP/err")"
has_rows mtu1280 firezone -- dns/{resource,used,upstream}/{alone-p50,alone-p99,rate,p50,p99,p999,client} dns/resource/most
for row in dns/{resource,used,upstream}/{lost,failed}; do
    awk -v name="net/$row/mtu1280/firezone" '$1 == name && $2 == 0 { good = 1 } END { exit !good }' "$TMP/out" ||
        fail "not all queries were answered: $(cat "$TMP/out")"
done
! grep -q wireguard "$TMP/out" || fail "a plain tunnel without names: $(cat "$TMP/out")"
! grep -q warning "$TMP/err" || fail "a warning: $(cat "$TMP/err")"
"$FZBENCH" diff "$json" "$json" >"$TMP/out" || fail "fzbench diff does not take the result"
rm "$json"
nothing_left "the client's DNS service"

say "interrupted"
for it in INT KILL; do
    interrupted $it 4 --firezone --only tcp1 --rounds 3 --seconds 9 --json "$json"
done

say "a gateway that ends by itself"
begins
"$FZBENCH" net --firezone --only tcp1 --rounds 2 --seconds 2 --json "$json" >"$TMP/out" 2>"$TMP/err" &
pid=$!
eventually 30 running fzbench 4 || fail "does not begin: $(cat "$TMP/err")"
kill -KILL "$(marked_named firezone-gatewa)"
status=0
wait "$pid" || status=$?
[[ $status -eq 1 ]] || fail "without its gateway: exit code $status, not 1"
grep -q 'firezone has ended' "$TMP/err" || fail "the message is not clear: $(cat "$TMP/err")"
nothing_left "without its gateway"
rig_end
