#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Resources with names, as a user has them: a client behind a NAT resolves them, downloads, pings, and finds shut what is not
# allowed; access is taken away and given back; the portal and the gateway start again.
#
#   net_names.sh [CASE]...      all of them, or these
#
#     [c1] == [NAT] == . . . == [NAT] == [g1] -- [n1: *.corp.test]     and [s], portal and relay
#
# shellcheck disable=SC2053,SC2119 # patterns
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"
# shellcheck source=tests/support/names.sh disable=SC1091
. "$(dirname "$0")/support/names.sh"

DOWNLOAD=${NAMES_DOWNLOAD:-20000000}
PROXY4="100.9[6-9].*" # a pattern: the first of 100.96.0.0/11, as many as a test uses
PROXY6="fd00:2021:1111:8000:*"

names_gone() { # NAME
    [[ $(names_ask stub udp "$1" A) == NXDOMAIN ]]
}

names_has_proxy() { # NAME
    [[ $(names_ask stub udp "$1" A) == NOERROR\ $PROXY4 ]]
}

names_first() { # NAME: the first of its addresses
    names_ask stub udp "$1" A | awk '$1 == "NOERROR" { print $2 }'
}

# A download from web.corp.test at a steady rate, under way for a second; and its end
steady_start() {
    : >"$TMP/sums.log"
    : >"$TMP/fetch.log"
    spawn sums n1 python3 "$ROOT/tests/support/steady.py" serve 10.40.1.10 8000 6
    STEADY_SERVER=$SPAWNED
    eventually 5 in_ns n1 sh -c "ss -Hltn | grep -q :8000" || fail "the server does not start"
    spawn fetch c1 python3 "$ROOT/tests/support/steady.py" fetch "$(names_first web.corp.test)" 8000
    STEADY_CLIENT=$SPAWNED
    sleep 1
}

steady_end() {
    finish "$STEADY_SERVER" 30 || fail "the transfer broke: $(cat "$TMP/sums.log")"
    finish "$STEADY_CLIENT" 30 || fail "the transfer broke: $(cat "$TMP/fetch.log")"
    [[ $(tail -n 1 "$TMP/sums.log") == $(tail -n 1 "$TMP/fetch.log") ]] || fail "other bytes arrived than were sent"
}

names_no_search() {
    ! grep -q '^search' "$TMP/etc-c1/resolv.conf"
}

case_names() {
    say "names: those of resources get addresses of the client's own, others those they have"
    expect_answer udp web.corp.test A "NOERROR $PROXY4 $PROXY4 $PROXY4 $PROXY4"
    expect_answer udp web.corp.test AAAA "NOERROR $PROXY6 $PROXY6 $PROXY6 $PROXY6"
    expect_answer udp WEB.corp.TEST HTTPS NOERROR
    expect_answer udp public.test A "NOERROR ${NAT_ADDR4[s]}"
    expect_answer udp hidden.corp.test A NXDOMAIN # nobody but the private net's server knows it
    expect_answer udp a.b.many.corp.test A NXDOMAIN # a star is one label,
    expect_answer udp many.corp.test A "NOERROR $PROXY4" # or none, at the beginning
    local first reverse
    first=$(names_ask stub udp a.many.corp.test A)
    [[ $first == NOERROR\ $PROXY4 && $(names_ask stub udp a.many.corp.test A) == "$first" ]] || fail "a name's addresses change: $first"
    [[ $(names_ask stub udp b.many.corp.test A) != "$first" ]] || fail "two names share their addresses: $first"
    reverse=$(awk '{ split($2, a, "."); print a[4] "." a[3] "." a[2] "." a[1] ".in-addr.arpa" }' <<<"$first")
    expect_answer udp "$reverse" PTR "NOERROR a.many.corp.test"
    app getent ahostsv4 web.corp.test | grep '^100\.9' >/dev/null || fail "the system's resolver does not find web.corp.test"
}

case_tcp() {
    say "the same by TCP, several questions on one connection"
    local got
    got=$(names_ask stub tcp a.many.corp.test A HTTPS)
    [[ $got == "$(names_ask stub udp a.many.corp.test A)"$'\n'NOERROR ]] || fail "by TCP: $got"
    expect_answer tcp public.test A "NOERROR ${NAT_ADDR4[s]}"
}

case_services() {
    say "SRV and TXT by the gateway"
    expect_answer udp _http._tcp.web.corp.test SRV NXDOMAIN # of no resource
    expect_answer udp web.corp.test TXT "NOERROR 'by-gateway'"
    expect_answer tcp web.corp.test TXT "NOERROR 'by-gateway'"
}

case_downloads() {
    say "downloads of $DOWNLOAD bytes by name, and pings"
    local from
    from=$(names_fetch web.corp.test "$DOWNLOAD") || exit
    [[ $from == $PROXY4 || $from == $PROXY6 ]] || fail "web.corp.test was not reached by a proxy address: $from"
    names_fetch app.corp.test 100000 >/dev/null
    names_fetch a.many.corp.test 100000 8080 a >/dev/null
    names_fetch b.many.corp.test 100000 8080 b >/dev/null
    names_pings web.corp.test
    names_pings web.corp.test 6
    names_pings app.corp.test
    from=$(names_fetch six.corp.test 100000) || exit
    [[ $from == $PROXY6 ]] || fail "six.corp.test was not reached by IPv6: $from"
    [[ $(sort -u "$TMP/web-80.log" | grep -v '^10\.40\.1\.1 \|^fd40:1::1 \|ready') == "" ]] ||
        fail "the server sees others than the gateway: $(cat "$TMP/web-80.log")"
}

# Downloads whose congestion is marked: what the web server and the client see of it
ecn_watch() {
    local it
    for it in c1 n1; do
        in_ns $it sysctl -q -w net.ipv4.tcp_ecn=1
        in_ns $it nft -f - <<'RULES'
table inet fz_ecn {
    counter able {}
    counter marked {}
    chain in {
        type filter hook input priority 0;
        tcp dport 80 jump look
        tcp sport 80 jump look
    }
    chain look {
        ip ecn { ect0, ect1 } counter name able
        ip6 ecn { ect0, ect1 } counter name able
        ip ecn ce counter name marked
        ip6 ecn ce counter name marked
    }
}
RULES
    done
}

ecn_seen() { # HOST COUNTER
    in_ns "$1" nft reset counter inet fz_ecn "$2" | awk '/packets/ { print $2 }'
}

case_ecn() {
    say "ECN: what a router on the way marks shows up at both ends of the connection"
    local it
    ecn_watch
    names_fetch web.corp.test 1000000 >/dev/null
    for it in c1 n1; do
        [[ $(ecn_seen $it able) -gt 0 && $(ecn_seen $it marked) -eq 0 ]] || fail "$it: no ECN through the tunnel"
    done
    in_ns core nft 'table ip fz_ecn { chain on { type filter hook forward priority 0; udp dport 52625 ip ecn { ect0, ect1 } ip ecn set ce; }; }'
    names_fetch web.corp.test 1000000 >/dev/null
    in_ns core nft delete table ip fz_ecn
    for it in c1 n1; do
        [[ $(ecn_seen $it marked) -gt 0 ]] || fail "$it: the marks are lost on the way"
        in_ns $it nft delete table inet fz_ecn
        in_ns $it sysctl -q -w net.ipv4.tcp_ecn=2
    done
}

case_shut() {
    say "what filters and policies shut"
    names_connects app.corp.test 80 open
    names_connects app.corp.test 80 no-host 6 # it has no such address
    names_connects app.corp.test 8080 no-host
    names_connects app.corp.test 8080 prohibited 6
    names_connects web.corp.test 81 refused # by the host itself
    ! names_connection_is shut.corp.test 80 open || fail "a resource whose policy is violated is reached"
    [[ $(app python3 "$ROOT/tests/support/web.py" connect 10.40.1.11 80) == open* ]] || fail "no way to the CIDR resource"
    [[ $(app python3 "$ROOT/tests/support/web.py" connect 10.40.1.11 8080) == no-host* ]] || fail "the CIDR resource's filter does not count"
    [[ $(app python3 "$ROOT/tests/support/web.py" connect 10.40.1.70 80) != open* ]] || fail "an address of no resource is reached"
}

case_filters() {
    say "filters change in place"
    ctl resource_change name=App filters=tcp/8080 >/dev/null
    eventually 5 names_connection_is app.corp.test 8080 open || fail "the new filter does not count: $(tail -n 20 "$TMP/c1.log")"
    names_connects app.corp.test 80 no-host
}

case_revoke() {
    say "revoked, and asked for again by the next packet"
    names_connects web.corp.test 80 open
    ctl revoke resource=Web | grep -q '"authorizations": 1' || fail "there was no authorisation: $(cat "$TMP/ctl")"
    eventually 10 names_connection_is web.corp.test 80 open || fail "access does not come back: $(tail -n 30 "$TMP/c1.log" "$TMP/g1.log")"
    names_fetch web.corp.test 100000 >/dev/null
}

case_policy() {
    say "the policy goes, the others stay; it comes back, and the name has its addresses from before"
    local before
    before=$(names_ask stub udp web.corp.test A)
    ctl policy name=web on=false >/dev/null
    eventually 5 names_gone web.corp.test || fail "the name is still there"
    names_fetch a.many.corp.test 100000 8080 a >/dev/null
    [[ $(app python3 "$ROOT/tests/support/web.py" connect "$(awk '{ print $2 }' <<<"$before")" 80) != open* ]] || fail "the way is still open"
    ctl policy name=web >/dev/null
    eventually 5 names_has_proxy web.corp.test || fail "the name does not come back: $(tail -n 20 "$TMP/c1.log")"
    [[ $(names_ask stub udp web.corp.test A) == "$before" ]] || fail "it has other addresses: $(names_ask stub udp web.corp.test A), not $before"
    names_fetch web.corp.test 100000 >/dev/null
}

case_expiry() {
    say "an authorisation ends by itself, and is asked for again"
    names_connects web.corp.test 80 open
    ctl lifetime in=1 resource=Web | grep -q '"authorizations": 1' || fail "there was no authorisation: $(cat "$TMP/ctl")"
    sleep 2
    eventually 10 names_connection_is web.corp.test 80 open || fail "access does not come back: $(tail -n 30 "$TMP/c1.log" "$TMP/g1.log")"
}

case_port() {
    say "three downloads by one port of the client's, two of them from one address"
    local name fetches=()
    for name in a b c; do
        spawn "fetch-$name" c1 python3 "$ROOT/tests/support/web.py" fetch \
            "http://$(names_first $name.many.corp.test)/$DOWNLOAD/$name" 40000
        fetches+=("$SPAWNED")
    done
    for name in a b c; do
        finish "${fetches[0]}" 60 || fail "$name.many.corp.test: $(cat "$TMP/fetch-$name.log")"
        fetches=("${fetches[@]:1}")
        [[ $(cat "$TMP/fetch-$name.log") == "$DOWNLOAD $(names_sum "$DOWNLOAD" $name) "* ]] || fail "$name: $(cat "$TMP/fetch-$name.log")"
    done
}

case_roam() {
    say "the client moves to another network in the middle of a download"
    steady_start
    nat_swap c1
    kill -HUP "${CLIENT_PID[c1]}"
    steady_end
}

case_portal() {
    say "the portal starts again: what goes on goes on, what is new waits for it"
    steady_start
    kill -TERM "$PORTAL_PID"
    finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
    steady_end
    local of_client of_gateway
    of_client=$(grep -c "signed in" "$TMP/c1.log") of_gateway=$(grep -c "signed in" "$TMP/g1.log")
    p2p_portal_start
    client_says c1 20 "signed in" $((of_client + 1))
    client_says g1 20 "signed in" $((of_gateway + 1))
    eventually 15 names_connection_is six.corp.test 80 open 6 || fail "no way after the portal's restart"
}

case_gateway() {
    say "the gateway starts again: the client hears of its end, and asks anew"
    client_end g1 0
    mv "$TMP/g1.log" "$TMP/g1.before.log"
    names_gateway g1
    eventually 20 names_connection_is web.corp.test 80 open || fail "no way after the gateway's restart: $(tail -n 30 "$TMP/c1.log")"
}

case_settings() {
    say "DNS settings change: the portal's server, then the system's again"
    ctl dns mode=custom servers="${NAT_ADDR4[s]}" search_domain=corp.test >/dev/null
    eventually 5 grep -q '^search corp.test' "$TMP/etc-c1/resolv.conf" || fail "no search domain: $(cat "$TMP/etc-c1/resolv.conf")"
    app getent ahostsv4 web | grep '^100\.9' >/dev/null || fail "the search domain is not used"
    ctl dns mode=system >/dev/null
    eventually 5 names_no_search || fail "the search domain stays: $(cat "$TMP/etc-c1/resolv.conf")"
    expect_answer udp public.test A "NOERROR ${NAT_ADDR4[s]}"
}

case_servers() {
    local server
    for server in unbound dnsmasq; do
        if ! names_has $server; then
            say "$server is not here: run tools/deps.sh check first"
            continue
        fi
        say "$server in the private net"
        names_serve n1 $server
        expect_answer udp web.corp.test TXT "NOERROR 'by-gateway'"
        names_fetch b.many.corp.test 100000 8080 b >/dev/null
    done
}

CASES=(names tcp services downloads ecn shut filters revoke policy expiry port roam portal gateway settings servers)
[[ $# -gt 0 ]] || set -- "${CASES[@]}"
for it in "$@"; do
    [[ $(type -t "case_$it") == function ]] || fail "there is no case '$it', but ${CASES[*]}"
done

rig_begin 240
require_impl ours
need python3 nsenter getent
names_begin "easy v4" "easy v4"

say "without the product: what there is can be reached from where the gateway is"
for protocol in udp tcp; do
    [[ $(names_ask_in g1 10.40.1.53 $protocol web.corp.test A AAAA TXT | paste -sd ';') == "NOERROR 10.40.1.10;NOERROR fd40:1::10;NOERROR 'by-gateway'" ]] ||
        fail "the private DNS server, by $protocol: $(names_ask_in g1 10.40.1.53 $protocol web.corp.test A AAAA TXT)"
done
[[ $(names_ask_in g1 10.40.1.53 udp _http._tcp.web.corp.test SRV) == "NOERROR 1/2/80/web.corp.test" ]] || fail "no SRV record"
[[ $(names_ask_in g1 10.40.1.53 udp nothing.corp.test A) == NXDOMAIN ]] || fail "there is a name too many"
[[ $(names_ask_in c1 "${NAT_ADDR4[s]}" udp public.test A) == "NOERROR ${NAT_ADDR4[s]}" ]] || fail "the client's own DNS server is silent"
for address in "${NAMES_WEB[@]}"; do
    [[ $(in_ns g1 python3 "$ROOT/tests/support/web.py" connect "$address" 8080) == "open $address" ]] || fail "no web server at $address"
done
in_ns g1 python3 "$ROOT/tests/support/web.py" fetch http://10.40.1.10/100000/x >"$TMP/fetched" || fail "no download: $(cat "$TMP/fetched")"
[[ $(cat "$TMP/fetched") == "100000 $(names_sum 100000 x) 10.40.1.10 "* ]] || fail "not what was sent: $(cat "$TMP/fetched")"
[[ $(in_ns c1 python3 "$ROOT/tests/support/web.py" connect 10.40.1.10 80) != open* ]] || fail "the private net is public"

names_gateway g1
names_client
for it in "$@"; do
    "case_$it"
done

names_end
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
