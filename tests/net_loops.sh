#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Nothing of the client's own ever enters its tunnel: with the Internet resource (0.0.0.0/0 and ::/0 lead into the TUN) it reaches the portal by name,
# by UDP and TCP to the resolver, its relay and its gateway, from start-up to shutdown, while it roams, and when there is no
# way out, in which case packets are dropped and counted. All the while a program of its host asks it for names, which it
# passes on by DoH, or to the resolver. With marks, and with sources and interfaces looked up while marks are forbidden.
#
#     [c1] == [c1_1] or [c1_2] == [core] == [g1_1] == [g1]     and [s], portal, resolver, DoH server and relay, at core
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"
# shellcheck source=tests/support/doh.sh disable=SC1091
. "$(dirname "$0")/support/doh.sh"
rig_begin 170
require_impl ours
need python3

# Counts what enters the TUN and is not the host's, and what leaves by the uplink, each kind on its own.
watch_ways() {
    local s4=${NAT_ADDR4[s]} s6=${NAT_ADDR6[s]}
    in_ns c1 nft -f - <<RULES
table inet fz_loop {
    counter looped {}
    counter relay {}
    counter direct {}
    counter portal {}
    counter dns_udp {}
    counter dns_tcp {}
    counter doh {}
    chain out {
        type filter hook postrouting priority 0;
        oifname "$(tun c1)" icmpv6 type { 133, 143 } accept
        oifname "$(tun c1)" ip saddr != 100.64.0.0/11 counter name looped
        oifname "$(tun c1)" ip6 saddr != fd00:2021:1111::/48 counter name looped
        oifname "$(tun c1)" ip daddr $s4 counter name looped
        oifname "$(tun c1)" ip6 daddr $s6 counter name looped
        oifname "$(tun c1)" udp sport 52625 counter name looped
        oifname "$(tun c1)" meta mark 0xfd002021 counter name looped
        oifname "eth*" udp dport 3478 counter name relay
        oifname "eth*" udp dport 52625 ip daddr != $s4 counter name direct
        oifname "eth*" udp dport 52625 ip6 daddr != $s6 counter name direct
        oifname "eth*" tcp dport 8081 counter name portal
        oifname "eth*" udp dport 53 counter name dns_udp
        oifname "eth*" tcp dport 53 counter name dns_tcp
        oifname "eth*" tcp dport 8443 counter name doh
    }
}
RULES
}

count() {
    in_ns c1 nft list counter inet fz_loop "$1" | awk '/packets/ { print $2 }'
}

no_loop() { # WHEN
    local n
    n=$(count looped)
    [[ $n -eq 0 ]] || fail "$1: $n packets of the client's own entered its tunnel: $(tail -n 5 "$TMP/tun.log" 2>/dev/null)"
}

# seen KIND...: each of them left by the uplink since the last call
seen() {
    local kind
    for kind in "$@"; do
        [[ $(count "$kind") -gt 0 ]] || fail "no $kind left by the uplink: $(tail -n 20 "$TMP/c1.log")"
    done
    in_ns c1 nft reset counters >/dev/null
}

# asked_for SERVER: the client's address that stands for this server takes the questions from now on
asked_for() {
    client_stub c1 "$1" >"$TMP/asked.new" && mv "$TMP/asked.new" "$TMP/asked"
}

# A program that asks for another name every 100 ms, whatever comes back
ask_always() {
    spawn asks c1 python3 -c '
import itertools, ipaddress, socket, sys, time
sockets = {4: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 6: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)}
for n in itertools.count():
    name = b"n%d" % n
    try:
        server = ipaddress.ip_address(open(sys.argv[1]).read().strip())
        sockets[server.version].sendto(b"%c%c\1\0\0\1\0\0\0\0\0\0%c%s\4test\0\0\1\0\1" % (n >> 8 & 255, n & 255, len(name), name), (str(server), 53))
    except OSError:
        pass
    time.sleep(0.1)
' "$TMP/asked"
}

# answer_is PROTOCOL NAME ANSWER: of the server that is asked now
answer_is() {
    [[ $(in_ns c1 python3 "$ROOT/tests/support/dns_ask.py" "$(cat "$TMP/asked")" "$1" "$2" A 2>/dev/null) == "$3" ]]
}

answers() { # SERVER NAME ANSWER [PROTOCOL]
    eventually 10 asked_for "$1" || fail "nothing stands for $1: $(grep ' dns: ' "$TMP/c1.log")"
    eventually 15 answer_is "${4:-udp}" "$2" "$3" || fail "no answer of $1: $(tail -n 40 "$TMP/c1.log")"
}

# Someone on the Internet, behind the gateway.
inner() { # SECONDS
    local it
    for it in 198.51.100.9 2001:db8:feed::9; do
        eventually "$1" in_ns c1 ping -q -n -c 1 -W 1 "$it" >/dev/null ||
            fail "no way to $it: $(tail -n 40 "$TMP/c1.log" "$TMP/g1.log")"
    done
}

uplink_lost() {
    ip -n "$(ns c1)" address flush dev "eth${NAT_AT[c1]}" scope global
    ip -n "$(ns c1)" link set "eth${NAT_AT[c1]}" down
}

uplink_back() {
    nat_join c1 "${NAT_AT[c1]}"
}

from_start_to_end() { # ARGUMENT...
    local how
    : >"$TMP/c1.log"
    in_ns c1 nft reset counters >/dev/null
    p2p_client 1 "${VARIABLES[@]}" -- "$@"
    no_loop "start-up"
    seen portal dns_udp relay
    inner 15
    p2p_expect 1 10 "peer to peer"
    in_ns c1 ping -q -n -c 20 -i 0.02 198.51.100.9 >/dev/null || fail "the direct path loses packets"
    answers "$DOH_URL" direct.test "$DOH_ANSWER"
    no_loop "direct"
    seen direct doh
    # Both kinds of a way back in: the test would see them.
    in_ns c1 ping -q -n -c 1 -W 1 "${NAT_ADDR4[s]}" >/dev/null || true
    [[ $(count looped) -eq 1 ]] || fail "the default route does not lead into the tunnel"
    in_ns c1 nft reset counters >/dev/null

    say "  by the relay"
    nat_drop c1 g1
    kill -HUP "${CLIENT_PID[c1]}"
    sleep 1
    inner 15
    [[ $(p2p_path 1) == *relay* ]] || fail "the path is $(p2p_path 1)"
    in_ns c1 ping -q -n -c 20 -i 0.02 2001:db8:feed::9 >/dev/null || fail "the relayed path loses packets"
    answers "$DOH_URL" relayed.test "$DOH_ANSWER"
    no_loop "relayed, after SIGHUP"
    seen relay portal dns_udp doh

    say "  another uplink"
    nat_swap c1
    kill -HUP "${CLIENT_PID[c1]}"
    sleep 1
    inner 15
    answers "$DOH_URL" moved.test "$DOH_ANSWER"
    no_loop "another uplink"
    seen relay portal dns_udp doh

    say "  the resolver in place of the DoH server, and it answers by TCP"
    echo truncate >"$TMP/dns-flags"
    kill -HUP "${CLIENT_PID[c1]}"
    sleep 1
    inner 15
    ctl dns mode=system >/dev/null
    answers "${NAT_ADDR4[s]}" portal.test "NOERROR ${NAT_ADDR4[s]}" tcp
    no_loop "names by TCP"
    seen relay portal dns_udp dns_tcp
    : >"$TMP/dns-flags"
    answers "${NAT_ADDR4[s]}" nobody.test NXDOMAIN
    in_ns c1 nft reset counters >/dev/null
    ctl dns mode=secure url="$DOH_URL" >/dev/null
    answers "$DOH_URL" again.test "$DOH_ANSWER"

    say "  no uplink"
    in_ns c1 ping -q -n -i 0.02 -w 6 198.51.100.9 >"$TMP/ping" 2>&1 &
    how=$!
    RIG_PIDS+=("$how")
    sleep 0.3
    uplink_lost
    wait "$how" || true
    no_loop "no uplink"
    [[ $(client_counter c1 out_no_source) -gt 0 ]] || fail "what was dropped is not counted: $(tail -n 60 "$TMP/c1.log")"
    uplink_back
    kill -HUP "${CLIENT_PID[c1]}"
    sleep 1
    inner 30
    answers "$DOH_URL" back.test "$DOH_ANSWER"
    no_loop "the uplink is back"
    seen relay portal doh
    nat_undrop c1 g1
    uplink_lost
    client_end c1 0
    no_loop "shutdown without an uplink"

    say "  start-up without an uplink"
    : >"$TMP/c1.log"
    client_start c1 c1 "${VARIABLES[@]}" -- "$@"
    client_says c1 10 "hiccup"
    uplink_back
    client_says c1 10 "is up: "
    inner 15
    client_end c1 0
    no_loop "start-up without an uplink"
}

doh_certificate
VARIABLES=(FIREZONE_API_URL=ws://portal.test:8081 FIREZONE_ACTIVATE_INTERNET_RESOURCE=true FIREZONE_CA_FILE="$TMP/doh.pem")
P2P_CONFIG='[resource Net]
type = internet
site = S1
'
p2p_begin 1
nat_host c1 easy
nat_host g1 easy
: >"$TMP/dns-flags"
spawn dns s python3 "$ROOT/tests/support/dns_server.py" "${NAT_ADDR4[s]},${NAT_ADDR6[s]}" "$TMP/dns-flags" \
    {portal,doh}.test="${NAT_ADDR4[s]}" {portal,doh}.test="${NAT_ADDR6[s]}"
doh_start s ::
eventually 5 grep -qx ready "$TMP/dns.log" || fail "the resolver does not start: $(cat "$TMP/dns.log")"
printf 'nameserver %s\nnameserver %s\n' "${NAT_ADDR4[s]}" "${NAT_ADDR6[s]}" >"$TMP/resolv.conf"
ip -n "$(ns g1)" address add 198.51.100.9/32 dev lo
ip -n "$(ns g1)" address add 2001:db8:feed::9/128 dev lo nodad
ctl dns mode=secure url="$DOH_URL" >/dev/null
p2p_gateway 1
watch_ways
ask_always
# As some distributions have it: what comes in must come by the way that an answer would take.
# shellcheck disable=SC2016 # for the inner shell
in_ns c1 sh -c 'for it in all default eth1; do echo 1 >/proc/sys/net/ipv4/conf/$it/rp_filter; done'

say "mark"
from_start_to_end
say "resolve, while marks are forbidden"
CLIENT_UNDER="$BUILD/release/support/no_marks"
from_start_to_end --source-ip resolve
say "marks are forbidden, and nobody says resolve"
: >"$TMP/c1.log"
client_start c1 c1 "${VARIABLES[@]}"
client_says c1 10 "is up: "
client_says c1 1 "(--source-ip resolve)"
inner 15
no_loop "without being told"
client_end c1 0
CLIENT_UNDER=
client_end g1 0
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
