#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `fzbench net` measures, says what it cannot, and leaves nothing behind, whichever way it ends. It makes its own
# namespaces; this test only looks from outside.
#
#     [a] ==== [b]     ours, and wireguard-go beside it
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/bench.sh
. "$(dirname "$0")/support/bench.sh"
rig_begin 240

bench_begin ours wireguard-go
need setpriv

say "what cannot work"
refused 2 "none of tcp1" --only nonsense
refused 2 "not a time" --rtt 10
refused 2 "neither direct nor relayed" --path direct,relay
refused 2 "not possible together with --mtu" --path direct --mtu 1420
refused 2 "not possible together with --path" --firezone --path direct
refused 1 "direct: .* is not a program" --path direct --client "$TMP/nothing"
refused 1 "did not start.*nothing" --path direct --client /bin/false
refused 1 "client.*cannot|is not a program" --client "$TMP/nothing"
refused 1 "did not start.*nothing" --client /bin/false
refused 1 "did not start.*frobnicate" --variant x=--frobnicate
refused 1 "cannot write" --json "$TMP/nowhere/result.json"
BENCH_UNDER=(setpriv --reuid 65534 --regid 65534 --clear-groups)
chmod 755 "$TMP"
refused 1 "needs root"
refused 1 "needs root" --firezone

say "against wireguard-go"
begins
"$FZBENCH" net --client "$CLIENT" --against wireguard-go --rival "$WIREGUARD_GO" --only tcp1,rtt --rounds 1 --seconds 1 \
    --json "$json" >"$TMP/out" 2>"$TMP/err" || fail "exit code $?: $(tail -n 3 "$TMP/err")"
has_rows mtu1420 ours wireguard-go ratio -- tcp1/{forward,forward-cpu,back,rss} rtt/{idle,loaded}-{p50,p99}
"$FZBENCH" diff "$json" "$json" >"$TMP/out" || fail "fzbench diff does not take the result"
rm "$json"
nothing_left "a whole run"

say "every part, without offloads, and a variant"
"$FZBENCH" net --rounds 1 --seconds 0.2 --mtu 1280 --offloads off --variant epoll=--io=epoll --workers 1 \
    --json "$json" >"$TMP/out" 2>"$TMP/err" || fail "exit code $?: $(tail -n 3 "$TMP/err")"
for row in tcp4/back udp/forward cpu/rate cpu/tunnel cpu/machine; do
    for name in ours epoll ratio-epoll; do
        grep -q "\"net/$row/mtu1280-offloads-off/$name\"" "$json" || fail "there is no row net/$row/.../$name"
    done
done
if grep -q 'without the part calls' "$TMP/err"; then
    say "  $(grep 'without the part calls' "$TMP/err")"
else
    grep -q '"net/calls/system/mtu1280-offloads-off/ours"' "$json" || fail "system calls were not counted"
fi
rm "$json"
nothing_left "a run of all parts"

say "through an emulated link"
begins
"$FZBENCH" net --client "$CLIENT" --rounds 1 --seconds 0.5 --only tcp1,rtt --rtt 0,20ms --loss 0.5% \
    --json "$json" >"$TMP/out" 2>"$TMP/err" || fail "exit code $?: $(tail -n 3 "$TMP/err")"
for row in tcp1/forward rtt/idle-p50; do
    for setting in rtt0-loss0.5% rtt20ms-loss0.5%; do
        grep -q "\"net/$row/mtu1420-$setting/ours\"" "$json" || fail "there is no row net/$row/mtu1420-$setting/ours"
    done
done
grep -q '"net/link/ceiling/mtu1420-rtt0-loss0.5%/fzlink"' "$json" || fail "there is no row for the link itself"
# The median knows nothing of a loss.
awk '$1 == "net/rtt/idle-p50/mtu1420-rtt20ms-loss0.5%/ours" && $2 >= 20000 && $2 < 40000 { good = 1 } END { exit !good }' \
    "$TMP/out" || fail "a round trip of 20 ms is something else: $(cat "$TMP/out")"
rm "$json"
nothing_left "a run through an emulated link"

say "both paths of Firezone"
if command -v nft >/dev/null; then
    begins
    "$FZBENCH" net --path direct,relayed --rounds 2 --seconds 0.5 --rate 0.2 --json "$json" >"$TMP/out" 2>"$TMP/err" ||
        fail "exit code $?: $(tail -n 3 "$TMP/err")"
    rows=(tcp1/forward tcp1/forward-client tcp1/forward-gateway tcp1/back paced/rate paced/client paced/gateway paced/tunnel)
    if grep -q 'without the part calls' "$TMP/err"; then
        say "  $(grep 'without the part calls' "$TMP/err")"
    else
        rows+=(paced/calls calls/system)
    fi
    has_rows mtu1280 direct relayed ratio-direct -- "${rows[@]}"
    # Of a time this short the kernel may have no sample.
    grep -q '"net/paced/user/mtu1280/direct"' "$json" || fail "there is no row for user time"
    # The ratios are the end of it, so that they are seen.
    [[ $(tail -n "$(grep -c ratio-direct "$TMP/out")" "$TMP/out" | grep -c ratio-direct) -eq $(grep -c ratio-direct "$TMP/out") ]] ||
        fail "the ratios are not at the end: $(cat "$TMP/out")"
    # Whatever the machine is busy with, the relay has carried the one and not the other.
    awk '$1 == "net/paced/relay/mtu1280/relayed" && $2 > 0 { good = 1 } END { exit !good }' "$TMP/out" ||
        fail "the relay did nothing: $(cat "$TMP/out")"
    ! grep -q 'net/paced/relay/mtu1280/direct' "$TMP/out" || fail "a direct path has a relay: $(cat "$TMP/out")"
    grep -qE 'net/tcp1/forward/mtu1280/relayed .*(peer to relay|relay to)' "$TMP/out" || fail "no note on the path: $(cat "$TMP/out")"
    grep -qE 'net/paced/tunnel/mtu1280/ratio-direct .*goal: at most 1.15, (met|missed)' "$TMP/out" || fail "no goal: $(cat "$TMP/out")"
    "$FZBENCH" diff "$json" "$json" >"$TMP/out" || fail "fzbench diff does not take the result"
    ! grep -q warning "$TMP/err" || fail "a warning: $(cat "$TMP/err")"
    rm "$json"
    nothing_left "a run of both paths"
else
    say "  nft is not installed"
fi

say "interrupted"
for it in INT TERM HUP KILL; do
    interrupted $it 10 --against wireguard-go --only tcp4 --rounds 3 --seconds 9 --json "$json"
    say "  SIG$it: nothing is left"
done

if command -v nft >/dev/null; then
    say "paths that are interrupted, or lose their relay"
    for it in INT KILL; do
        interrupted $it 4 --path direct,relayed --only tcp1 --rounds 3 --seconds 9
    done
    begins
    "$FZBENCH" net --path relayed --only tcp1 --rounds 2 --seconds 2 --json "$json" >"$TMP/out" 2>"$TMP/err" &
    pid=$!
    eventually 30 running fzbench 4 || fail "does not begin: $(cat "$TMP/err")"
    kill -KILL "$(marked_named fzrelay)"
    status=0
    wait "$pid" || status=$?
    [[ $status -eq 1 ]] || fail "without its relay: exit code $status, not 1"
    grep -q 'fzrelay has ended' "$TMP/err" || fail "the message is not clear: $(cat "$TMP/err")"
    nothing_left "a path without its relay"
fi

say "a tunnel that ends by itself"
begins
"$FZBENCH" net --only tcp1 --rounds 2 --seconds 2 --json "$json" >"$TMP/out" 2>"$TMP/err" &
pid=$!
eventually 15 running fzbench 4 || fail "does not begin: $(cat "$TMP/err")"
kill -KILL "$(marked_named firezone-headle | head -n 1)"
status=0
wait "$pid" || status=$?
[[ $status -eq 1 ]] || fail "exit code $status, not 1"
grep -q 'ours has ended' "$TMP/err" || fail "the message is not clear: $(cat "$TMP/err")"
nothing_left "a tunnel that ends by itself"
rig_end
