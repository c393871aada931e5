#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The second part of `make demo` (as root): a client and a gateway, each behind its own NAT router, with the development
# portal and the development relay in the internet between them. The client asks for a resource at its first packet; first the
# NATs let the two through to each other, then, behind symmetric ones, everything goes by the relay; then the client moves to
# another network in the middle of a transfer. Takes about half a minute and leaves nothing behind, also when interrupted.
#
#     [c1] == [NAT] == . . . . . == [NAT] == [g1]     firezone-headless-client, firezone-gateway, 10.20.1.0/24 behind it
#                      [internet]
#                       == [s]                        fzportal, fzrelay
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/../tests/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/../tests/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/../tests/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/../tests/support/p2p.sh"
skip() { fail "$@"; }

SECONDS_EACH=${DEMO_SECONDS:-4}

# rate I: Gbit/s of TCP from the gateway's network to the client, as the receiver counts
rate() {
    spawn "iperf$1" "g$1" timeout 60 iperf3 -s -B "10.20.$1.1" -1
    local server=$SPAWNED
    eventually 5 in_ns "g$1" sh -c "ss -Hltn | grep -q :5201" || fail "iperf3 does not start"
    in_ns "c$1" iperf3 -c "10.20.$1.1" -R -t "$SECONDS_EACH" -J >"$TMP/iperf" || fail "no TCP: $(cat "$TMP/iperf")"
    finish "$server" 5 || fail "the iperf3 server ended with $?"
    python3 -c 'import json, sys; print("%.2f" % (json.load(open(sys.argv[1]))["end"]["sum_received"]["bits_per_second"] / 1e9))' "$TMP/iperf"
}

# milliseconds from the request for access to the connection, by the client's log
set_up_ms() { # I
    python3 - "$TMP/c$1.log" <<'PY'
import datetime, sys
def at(text):
    return next(datetime.datetime.fromisoformat(line[:23]) for line in open(sys.argv[1]) if text in line)
print("%d" % ((at("connected to gateway") - at("access requested")).total_seconds() * 1000))
PY
}

# reach I CLIENT_KIND GATEWAY_KIND WHAT
reach() {
    say "$4: firezone-gateway, firezone-headless-client, then ping 10.20.$1.1"
    p2p_pair "$1" "$2" "$3"
    in_ns "c$1" ping -c 3 -i 0.3 -W 5 "10.20.$1.1" | sed -n 's/^64 bytes/    &/p'
    grep -hE 'access (requested|granted)|connected to|the path' "$TMP/c$1.log" | sed 's/^/    /'
    sleep 0.5
    rows+=("$(printf '%-34s %-14s %8s ms %8s Gbit/s' "$4" "$(p2p_path "$1")" "$(set_up_ms "$1")" "$(rate "$1")")")
}

rig_begin 150
require_impl ours
rows=()
say "fzportal, and fzrelay, which signs in there"
p2p_begin 2 --log-level info
sed 's/^/    /' "$TMP/relay-s.log" | grep -v /tmp/
reach 1 "easy v4" "easy v4" "both behind usual NATs"
reach 2 "hard v4" "hard v4" "both behind symmetric NATs"

say "the client moves to another network in the middle of a transfer"
spawn sums g1 python3 "$ROOT/tests/support/steady.py" serve 10.20.1.1 8000 6
server=$SPAWNED
eventually 5 in_ns g1 sh -c "ss -Hltn | grep -q :8000" || fail "the server does not start"
spawn fetch c1 python3 "$ROOT/tests/support/steady.py" fetch 10.20.1.1 8000
client=$SPAWNED
sleep 2
shown=$(wc -l <"$TMP/c1.log")
nat_swap c1
kill -HUP "${CLIENT_PID[c1]}"
finish "$server" 30 || fail "the transfer broke: $(cat "$TMP/sums.log")"
finish "$client" 30 || fail "the transfer broke: $(cat "$TMP/fetch.log")"
tail -n "+$((shown + 1))" "$TMP/c1.log" | sed 's/^/    /'
[[ $(tail -n 1 "$TMP/sums.log") == $(tail -n 1 "$TMP/fetch.log") ]] || fail "other bytes arrived than were sent"
say "all bytes arrived, SHA-256 $(tail -n 1 "$TMP/fetch.log")"

p2p_end 1
p2p_end 2
relay_end s
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end >"$TMP/end" || { cat "$TMP/end" && exit 1; }
printf '\n    %-34s %-14s %11s %15s\n' "" path "set-up" "TCP, downwards"
printf '    %s\n' "${rows[@]}"
say "done, nothing is left behind"
