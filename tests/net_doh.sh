#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The client's DoH at servers with other implementations of HTTP/2: node's, which also does what is rare and what is wrong,
# unbound's (nghttp2, as node's), and dnsdist's (h2o).
#
#     [a: doh_probe, and on loopback doh_server.cjs, unbound, dnsdist before it]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/names.sh disable=SC1091
. "$(dirname "$0")/support/names.sh"
# shellcheck source=tests/support/doh.sh disable=SC1091
. "$(dirname "$0")/support/doh.sh"
rig_begin 120
need python3
PROBE=$BUILD/release/support/doh_probe
[[ -x $PROBE ]] || fail "no doh_probe: run make support first"

ns_add a
echo "127.0.0.1 doh.test" >"$TMP/hosts"
doh_certificate

# asks PORT ORDER...: what came of it; the log is in $TMP/probe.log
asks() {
    local port=$1
    shift
    in_ns a "$PROBE" "https://doh.test:$port/dns-query" "$TMP/hosts" "$TMP/doh.pem" "$@" 2>"$TMP/probe.log" ||
        fail "doh_probe ended with $?: $(tail -n 5 "$TMP/probe.log")"
}

expect() { # GOT LINE...
    local got=$1
    shift
    [[ $got == "$(printf '%s\n' "$@")" ]] || fail "not what was expected: $got; $(tail -n 5 "$TMP/probe.log")"
}

sessions() {
    grep -c '^session$' "$TMP/doh.log" || true
}

# ---- node ----

doh_start a 127.0.0.1

GOOD=NOERROR,192.0.2.53
expect "$(asks 8443 plain.test 200:plain.test 20:headers.test 20:length.test trailers.test 5:bytewise.test plain.test)" \
    "plain.test 1 $GOOD" "plain.test 200 $GOOD" "headers.test 20 $GOOD" "length.test 20 $GOOD" "trailers.test 1 $GOOD" \
    "bytewise.test 5 $GOOD" "plain.test 1 $GOOD"
[[ $(sessions) -eq 1 ]] || fail "$(sessions) connections"
say "all on one connection"

expect "$(asks 8443 plain.test refuse.test 10:leave.test empty.test plain.test)" \
    "plain.test 1 $GOOD" "refuse.test 1 $GOOD" "leave.test 10 $GOOD" "empty.test 1 malformed input" "plain.test 1 $GOOD"
[[ $(sessions) -eq 3 ]] || fail "$(sessions) connections"
say "a refused query, and those of a server that goes, are asked again"

# Answers that come when nobody waits for them: the next are taken for what they are.
expect "$(asks 8443 plain.test 10:late.test 20:headers.test 1000:plain.test)" \
    "plain.test 1 $GOOD" "late.test 10 timed out" "headers.test 20 $GOOD" "plain.test 1000 $GOOD"
! grep '^wrong' "$TMP/doh.log" || fail "the server complains"

# ---- unbound ----

NAMES_AT[a]=127.0.0.2 NAMES_RECORDS[a]="one.test=192.0.2.54"
if ! names_has unbound; then
    say "unbound is not here: it and dnsdist are not tried, run tools/deps.sh check first"
    rig_end
    exit 0
fi
names_serve a unbound "interface: 127.0.0.1@8445" "https-port: 8445" "http-endpoint: /dns-query" \
    "tls-service-key: $TMP/doh.key" "tls-service-pem: $TMP/doh.pem"
expect "$(asks 8445 one.test none.test 600:one.test)" \
    "one.test 1 NOERROR,192.0.2.54" "none.test 1 NXDOMAIN" "one.test 600 NOERROR,192.0.2.54"
say "unbound answers"

# ---- dnsdist ----

if command -v dnsdist >/dev/null; then
    cat >"$TMP/dnsdist.conf" <<CONFIG
setLocal("127.0.0.1:5300")
newServer({address = "127.0.0.2:53", checkName = "one.test."})
addDOHLocal("127.0.0.1:8444", "$TMP/doh.pem", "$TMP/doh.key", "/dns-query")
setMaxUDPOutstanding(2000)
CONFIG
    spawn dnsdist a dnsdist --supervised --disable-syslog -C "$TMP/dnsdist.conf"
    listens() {
        ss -N "$(ns a)" -Hlnt "sport = :8444" | grep -q .
    }
    eventually 15 listens || fail "dnsdist does not listen: $(tail -n 5 "$TMP/dnsdist.log")"
    expect "$(asks 8444 one.test none.test 600:one.test)" \
        "one.test 1 NOERROR,192.0.2.54" "none.test 1 NXDOMAIN" "one.test 600 NOERROR,192.0.2.54"
    say "dnsdist answers"
else
    say "dnsdist is not installed: not tried"
fi
rig_end
