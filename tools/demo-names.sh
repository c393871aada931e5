#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The third part of `make demo` (as root): the whole product as a user has it. A client and a gateway, each behind its own NAT
# router, the development portal and relay in the internet between them, and behind the gateway a private net with a web server and
# a DNS server of its own. Last the whole internet is reached through the gateway, and the client's own datagrams are counted where
# they leave, and where they must not. Takes about a minute and leaves nothing behind, also when interrupted.
#
#     [c1] == [NAT] == . . . . == [NAT] == [g1] -- [n1: *.corp.test]     firezone-headless-client, firezone-gateway
#                      [internet]
#                       == [s] == [w]                                    fzportal, fzrelay; somebody's web server
#
#   demo-names.sh            directly, then by the relay
#   demo-names.sh PATH       one of them: direct or relayed
set -euo pipefail

if [[ $# -eq 0 ]]; then
    for path in direct relayed; do
        "$0" $path
    done
    exit 0
fi
case $1 in
direct) kinds=("easy v4" "easy v4") ;;
relayed) kinds=("hard v4" "hard v4") ;;
*)
    echo "demo-names.sh: direct or relayed, not '$1'" >&2
    exit 2
    ;;
esac
path=$1

# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/../tests/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/../tests/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/../tests/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/../tests/support/p2p.sh"
# shellcheck source=tests/support/names.sh disable=SC1091
. "$(dirname "$0")/../tests/support/names.sh"
skip() { fail "$@"; }

SECONDS_EACH=${DEMO_SECONDS:-4}
BYTES=${DEMO_BYTES:-100000000}

shown() { sed 's/^/    /'; }

# From the question for the name to the last byte, in milliseconds
download() { # BYTES
    names_fetch web.corp.test "$1" >/dev/null || exit
    awk '{ print $4 }' "$TMP/fetched"
}

# Gbit/s of TCP from the private net to the client, by name
rate() {
    spawn iperf n1 timeout 60 iperf3 -s -B 10.40.1.10 -1
    local server=$SPAWNED
    eventually 5 in_ns n1 sh -c "ss -Hltn | grep -q :5201" || fail "iperf3 does not start"
    app iperf3 -4 -c web.corp.test -R -t "$SECONDS_EACH" -J >"$TMP/iperf" || fail "no TCP: $(cat "$TMP/iperf")"
    finish "$server" 5 || fail "the iperf3 server ended with $?"
    python3 -c 'import json, sys; print("%.2f" % (json.load(open(sys.argv[1]))["end"]["sum_received"]["bits_per_second"] / 1e9))' "$TMP/iperf"
}

# The median of 101 questions, in milliseconds
dns_round_trip() {
    app python3 - "$(names_stub)" <<'PY'
import socket, statistics, sys, time
query = b"\0\1\1\0\0\1\0\0\0\0\0\0\3web\4corp\4test\0\0\1\0\1"
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect((sys.argv[1], 53))
took = []
for _ in range(101):
    start = time.perf_counter()
    s.send(query)
    s.recv(2000)
    took.append(time.perf_counter() - start)
print("%.2f" % (statistics.median(took) * 1000))
PY
}

# The web server of somebody on the internet, and who comes to it
web_visit() { # NAME
    LIMIT=10 app python3 "$ROOT/tests/support/web.py" fetch "http://${NAT_ADDR4[w]}/1000/$1" >/dev/null || fail "no way to ${NAT_ADDR4[w]}"
    tail -n 1 "$TMP/web-w.log"
}

count() { # NAME
    in_ns c1 nft list counter inet fz_demo "$1" | awk '/packets/ { print $2 }'
}

# The addresses of all other hosts are in 192.0.0.0/16.
count_ways() {
    in_ns c1 nft -f - <<RULES
table inet fz_demo {
    counter in_tunnel {}
    counter with_our_addresses {}
    counter datagrams {}
    chain out {
        type filter hook postrouting priority 0;
        oifname "$(tun c1)" counter name in_tunnel
        oifname "$(tun c1)" ip saddr 192.0.0.0/16 counter name with_our_addresses
        oifname "$(tun c1)" ip6 saddr 2001:db8::/32 counter name with_our_addresses
        oifname "eth*" meta mark 0xfd002021 counter name datagrams
    }
}
RULES
}

rig_begin 150
require_impl ours
NAMES_RESOURCES='[resource Net]
type = internet
site = S1' NAMES_POLICIES='[policy net]
groups = *
resources = Net'
say "$path: fzportal, fzrelay, a private net, firezone-gateway, firezone-headless-client"
names_begin "${kinds[@]}"
names_gateway g1
names_client
grep -hE 'stands for|resource .* new' "$TMP/c1.log" | shown

say "web.corp.test has addresses of the client's own; public.test those it has"
names_ask stub udp web.corp.test A AAAA | shown
names_ask stub udp public.test A | shown

say "download $BYTES bytes from web.corp.test, the first packet asks for access"
first=$(download 1000000) || exit
whole=$(download "$BYTES") || exit
grep -hE 'access (requested|granted)|connected to|the path' "$TMP/c1.log" | shown
say "all bytes arrived, the sum is right: $whole ms"
app ping -4 -c 3 -i 0.2 -W 4 web.corp.test | sed -n 's/^64 bytes/    &/p'

say "shut.corp.test: its policy does not let us in; app.corp.test: port 8080 is not among what is allowed"
app python3 "$ROOT/tests/support/web.py" connect shut.corp.test 80 4 | shown
names_connects app.corp.test 80 open
app python3 "$ROOT/tests/support/web.py" connect app.corp.test 8080 4 | shown
gbits=$(rate)
trip=$(dns_round_trip)

if [[ $path == direct ]]; then
    say "the client moves to another network in the middle of a download"
    spawn sums n1 python3 "$ROOT/tests/support/steady.py" serve 10.40.1.10 8000 6
    server=$SPAWNED
    eventually 5 in_ns n1 sh -c "ss -Hltn | grep -q :8000" || fail "the server does not start"
    spawn fetch c1 python3 "$ROOT/tests/support/steady.py" fetch "$(names_ask stub udp web.corp.test A | awk '{ print $2; exit }')" 8000
    client=$SPAWNED
    sleep 2
    nat_swap c1
    kill -HUP "${CLIENT_PID[c1]}"
    finish "$server" 30 || fail "the transfer broke: $(cat "$TMP/sums.log")"
    finish "$client" 30 || fail "the transfer broke: $(cat "$TMP/fetch.log")"
    [[ $(tail -n 1 "$TMP/sums.log") == $(tail -n 1 "$TMP/fetch.log") ]] || fail "other bytes arrived than were sent"
    say "all bytes arrived, SHA-256 $(tail -n 1 "$TMP/fetch.log")"
fi

how=$(p2p_path 1)

nat_host w none
say "the Internet resource on: who comes to ${NAT_ADDR4[w]} before is the client's router, and after it the gateway's, ${NAT_OUTER4[g1]}"
spawn web-w w python3 "$ROOT/tests/support/web.py" serve 80 "${NAT_ADDR4[w]}"
eventually 10 grep -qx ready "$TMP/web-w.log" || fail "no web server: $(cat "$TMP/web-w.log")"
web_visit before | shown
client_end c1 0
count_ways
names_client FIREZONE_ACTIVATE_INTERNET_RESOURCE=true
web_visit after | shown
names_fetch web.corp.test "$BYTES" >/dev/null
names_end
printf '\n'
printf '    %-66s %8s\n' \
    "packets that went into the tunnel" "$(count in_tunnel)" \
    "of these, such that carry an address of ours outside of it" "$(count with_our_addresses)" \
    "what the client sent by the uplink, a run of datagrams counts once" "$(count datagrams)"
[[ $(count with_our_addresses) -eq 0 ]] || fail "datagrams of the client went into its tunnel"
[[ $(count datagrams) -gt 0 && $(count in_tunnel) -gt 0 ]] || fail "nothing was counted"
relay_end s
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end >"$TMP/end" || { cat "$TMP/end" && exit 1; }
printf '\n    %-10s %-16s %12s %14s %14s %12s\n' "" path "first 1 MB" "100 MB" "TCP, down" "DNS"
printf '    %-10s %-16s %9s ms %11s ms %8s Gbit/s %9s ms\n' "$path" "$how" "$first" "$whole" "$gbits" "$trip"
say "done, nothing is left behind"
