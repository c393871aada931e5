#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A client whose portal wants its DNS to be DoH: names of resources stay its own, all others go to the server, outside the tunnel;
# the server goes and comes back, and the client moves to another network.
#
#     [c1] == [NAT] == . . . == [NAT] == [g1] -- [n1: *.corp.test]     and [s], portal, relay and doh_server.cjs
#
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
# shellcheck source=tests/support/doh.sh disable=SC1091
. "$(dirname "$0")/support/doh.sh"

PROXY4="100.9[6-9].*"

answer_is() { # PROTOCOL NAME ANSWER
    [[ $(names_ask stub "$1" "$2" A 2>/dev/null) == "$3" ]]
}

rig_begin 120
require_impl ours
need python3 nsenter getent
doh_certificate
names_begin "easy v4" "easy v4"
printf '%s doh.test\n' "${NAT_ADDR4[s]}" >>"$TMP/etc-c1/hosts"
doh_start s "${NAT_ADDR4[s]}"
names_gateway g1
names_client FIREZONE_CA_FILE="$TMP/doh.pem"
expect_answer udp public.test A "NOERROR ${NAT_ADDR4[s]}"

say "the portal's server, by UDP and TCP; names of resources as before"
ctl dns mode=secure url="$DOH_URL" >/dev/null
eventually 10 answer_is udp plain.test "$DOH_ANSWER" || fail "no answer by DoH: $(tail -n 20 "$TMP/c1.log")"
expect_answer tcp other.test A "$DOH_ANSWER"
expect_answer udp web.corp.test A "NOERROR $PROXY4 $PROXY4 $PROXY4 $PROXY4"
names_fetch web.corp.test 100000 >/dev/null
in_ns c1 ss -Htne dst "${NAT_ADDR4[s]}:8443" >"$TMP/sockets"
[[ -s $TMP/sockets ]] || fail "there is no connection to the server"
! grep -v 'fwmark:0xfd002021' "$TMP/sockets" || fail "a connection to the server carries no mark"
kill -USR1 "${CLIENT_PID[c1]}"
client_says c1 5 "dns: counter dns_local="
[[ $(grep -c '^session$' "$TMP/doh.log") -eq 1 ]] || fail "several connections: $(cat "$TMP/doh.log")"

say "the server goes, and comes back"
doh_stop
expect_answer udp gone.test A SERVFAIL
doh_start s "${NAT_ADDR4[s]}"
eventually 20 answer_is udp back.test "$DOH_ANSWER" || fail "no answer of the new server: $(tail -n 20 "$TMP/c1.log")"

say "the client moves to another network"
nat_swap c1
kill -HUP "${CLIENT_PID[c1]}"
eventually 20 answer_is udp moved.test "$DOH_ANSWER" || fail "no answer in the new network: $(tail -n 20 "$TMP/c1.log")"

say "the system's servers again"
ctl dns mode=system >/dev/null
eventually 5 answer_is udp public.test "NOERROR ${NAT_ADDR4[s]}" || fail "no answer of the system's: $(tail -n 20 "$TMP/c1.log")"

! grep '^wrong' "$TMP/doh.log" || fail "the server complains"
names_end
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
