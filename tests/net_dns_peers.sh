#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The client's DNS between programs that others have written: kdig asks, dnsmasq and unbound are the servers at both ends, by UDP,
# TCP and DoH. What each question must get is in tables.
#
#     [c1: kdig] == [NAT] == . . . == [NAT] == [g1] -- [n1: *.corp.test]     and [s], portal, relay and the client's DNS server
#
# shellcheck disable=SC2119 # without arguments
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

# A line for a type, a column for a name. First who answers: l, the client itself; s, its server; c, the client, as it remembers
# what the server has said; g, the server behind the gateway. Then the number of records, or x for NXDOMAIN and r for REFUSED.
DNSMASQ="
-       web.corp.test  a.many.corp.test  public.test  nothing.test  .
A       l4             l4                s1           sx            sr
AAAA    l4             l4                s1           sx            sr
HTTPS   l0             l0                s1           sx            sr
SRV     g0             g0                s1           sx            sr
TXT     g1             g0                s1           sx            sr
MX      sx             sx                s1           sx            sr
NS      sx             sx                s0           sx            sr
SOA     sx             sx                s0           sx            sr
ANY     sx             sx                s7           sx            sr
CAA     sx             sx                s1           sx            sr
PTR     sx             sx                s0           sx            sr
"
# public.test and fresh.test have the same records. One second, as those of fresh.test are good for, is not worth remembering.
UNBOUND="
-       web.corp.test  a.many.corp.test  public.test  fresh.test  nothing.test  .
A       l4             l4                c1           s1          sx            s0
AAAA    l4             l4                c1           s1          sx            s0
HTTPS   l0             l0                c1           s1          sx            s0
SRV     g0             g0                c1           s1          sx            s0
TXT     g1             g0                c1           s1          sx            s0
MX      sx             sx                c1           s1          sx            s0
NS      sx             sx                c1           s1          sx            s1
SOA     sx             sx                c1           s1          sx            c1
ANY     sx             sx                s0           s0          sx            s0
CAA     sx             sx                c1           s1          sx            s0
PTR     sx             sx                s0           s0          sx            s0
"

reverse4() { # ADDRESS
    awk -F. '{ print $4 "." $3 "." $2 "." $1 ".in-addr.arpa" }' <<<"$1"
}

# questions KIND TABLE CELL...: the table's, each a line NAME TYPE CELL in $TMP/questions, and the names of addresses: two of
# web.corp.test, one that no name has, the server's
questions() {
    SERVER=$1
    awk '$1 == "-" { for (i = 2; i <= NF; i++) name[i] = $i; next }
        { for (i = 2; i <= NF; i++) print name[i], $1, $i }' <<<"$2" >"$TMP/questions"
    cat >>"$TMP/questions" <<REVERSE
$(reverse4 100.96.0.1) PTR l1
$(printf '0.%.0s' {1..18})0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa PTR l1
$(reverse4 100.127.255.254) PTR $3
$(reverse4 "${NAT_ADDR4[s]}") PTR $4
REVERSE
    mapfile -t QUESTIONS < <(awk '{ print $1; print $2 }' "$TMP/questions")
}

stub_asked() { # asked: at the first of the client's servers, or at $STUB; what kdig says goes to $TMP/kdig
    app kdig "@${STUB:-$(names_stub)}" +timeout=10 +retry=0 "$@" >"$TMP/kdig" 2>&1 || true
    ! grep -iE '^;; (warning|error)|malformed' "$TMP/kdig" || fail "kdig $*: $(tail -n 40 "$TMP/kdig")"
}

# asked OPTION... [NAME TYPE]...: a line for each, with name, type, transport, code, number of records, flags
asked() {
    stub_asked "$@"
    awk '/^;; ->>HEADER/ { code = $6; sub(";", "", code) }
        /^;; Flags:/ { split($0, part, ";"); flags = part[3]; sub(" Flags: ", "", flags); n = part[5]; sub(" ANSWER: ", "", n) }
        /^;; QUESTION SECTION/ { getline; name = $2; type = $4 }
        /^;; From/ { print name, type, substr($3, length($3) - 3, 3), code, n, flags }' "$TMP/kdig"
}

# matrix OPTION...: all questions get what they must. unbound calls itself an authority also for what there is not.
matrix() {
    local transport=UDP rd=" rd"
    [[ " $* " != *" +tcp "* ]] || transport=TCP
    [[ " $* " != *" +norecurse "* ]] || rd=
    asked "$@" "${QUESTIONS[@]}" >"$TMP/got"
    awk -v server="$SERVER" -v transport=$transport -v rd="$rd" '{
        who = substr($3, 1, 1); n = substr($3, 2)
        code = n == "x" ? "NXDOMAIN" : n == "r" ? "REFUSED" : "NOERROR"
        flags = who ~ /[lc]/ ? "qr" rd : server == "unbound" || n + 0 > 0 ? "qr aa" rd " ra" : "qr" rd " ra"
        print $1 ($1 == "." ? "" : "."), $2, transport, code, n + 0, flags
    }' "$TMP/questions" >"$TMP/want"
    diff "$TMP/want" "$TMP/got" >"$TMP/diff" || fail "kdig $*: not (<) but (>): $(cat "$TMP/diff")"
}

expect() { # LINE OPTION... NAME TYPE
    local got
    got=$(asked "${@:2}")
    [[ $got == "$1" ]] || fail "kdig ${*:2}: '$got', not '$1'"
}

# same_records NAME: the records of all types are those that the server has, also when they are remembered
same_records() {
    local type all=()
    for type in A AAAA HTTPS SRV TXT MX NS SOA CAA; do
        all+=("$1" "$type")
    done
    in_ns s kdig "@${NAT_ADDR4[s]}" +noall +answer +nottl "${all[@]}" >"$TMP/records"
    for _ in 1 2; do
        stub_asked +noall +answer +nottl "${all[@]}"
        diff "$TMP/records" "$TMP/kdig" >"$TMP/diff" || fail "the records of $1 are not (<) but (>): $(cat "$TMP/diff")"
    done
}

# mixed_case udp|tcp: upper and lower case are the same and come back as they were, which dns_ask.py checks; kdig asks in lower case
mixed_case() {
    local types=(A AAAA HTTPS SRV TXT MX NS SOA) name got
    for name in wEb.cOrp.tESt pubLIC.Test FRESH.TEST noThing.tEst; do
        got=$(names_ask stub "$1" $name "${types[@]}" 2>&1)
        # Names in the records may point into the question.
        [[ ${got,,} == "$(names_ask stub "$1" ${name,,} "${types[@]}" | tr '[:upper:]' '[:lower:]')" ]] ||
            fail "$name by $1 is not the same in lower case: $got"
    done
}

# lengths PARENT: what is too long for the tunnel's packets by UDP, and what just fits; how much kdig takes is not asked.
lengths() {
    expect "fits.$1. TXT UDP NOERROR 1 qr aa rd ra" +bufsize=4096 "fits.$1" TXT
    expect "over.$1. TXT UDP NOERROR 0 qr aa tc rd ra" +bufsize=4096 +ignore "over.$1" TXT
    expect "over.$1. TXT TCP NOERROR 1 qr aa rd ra" +bufsize=4096 +tcp "over.$1" TXT
    expect "huge.$1. TXT UDP NOERROR 0 qr aa tc rd ra" +ignore "huge.$1" TXT
    expect "huge.$1. TXT TCP NOERROR 1 qr aa rd ra" +tcp "huge.$1" TXT
}

# text BYTES: that many of TXT, as strings of 255 at most
text() {
    python3 -c '
import sys
n = int(sys.argv[1])
print(*("\"" + "x" * (min(n - i, 256) - 1) + "\"" for i in range(0, n, 256)))' "$1"
}

serve_dnsmasq() {
    local big=()
    for _ in {1..8}; do
        big+=("txt-record=big.test,$(printf %0250d 0)")
    done
    names_serve s dnsmasq txt-record="public.test,one,and two" mx-host=public.test,mail.test,10 caa-record=public.test,0,issue,ca.test \
        srv-host=public.test,mail.test,443,1,2 dns-rr=public.test,65,00010000010003026832 "${big[@]}"
}

# records NAME SECONDS: of unbound, one of each type but addresses
records() {
    local it
    for it in 'HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.9' "SRV 1 2 443 mail.test." 'TXT "one" "and two"' "MX 10 mail.test." \
        "NS ns.test." "SOA ns.test. admin.test. 1 3600 600 86400 60" 'CAA 128 issue "ca.test"'; do
        echo "local-data: '$1 $2 $it'"
    done
}

# long PARENT BYTES: of unbound, for `lengths`. So many bytes are what just fits, with the OPT record that unbound answers with.
long() {
    local others=$((12 + ${#1} + 7 + 4 + 12 + 11))
    echo "local-data: 'fits.$1 1 TXT $(text $(($2 - others)))'"
    echo "local-data: 'over.$1 1 TXT $(text $(($2 - others + 1)))'"
    echo "local-data: 'huge.$1 1 TXT $(text 20000)'"
}

serve_unbound() {
    local at=${NAT_ADDR4[s]} lines
    mapfile -t lines < <(long test 1212 && long many.corp.test 1200)
    names_serve n1 unbound "${lines[@]}"
    mapfile -t lines < <(long test 1212 && records public.test 60 && records fresh.test 1)
    names_serve s unbound "${lines[@]}" "local-data: 'fresh.test 1 A 192.0.2.9'" "local-data: 'fresh.test 1 AAAA 2001:db8::9'" \
        "local-data: '. 1 NS ns.test.'" "local-data-ptr: '$at 60 public.test'" "local-data: 'doh.test 60 A $at'" \
        "interface: $at@8443" "https-port: 8443" "http-endpoint: /dns-query" "tls-service-key: $TMP/doh.key" "tls-service-pem: $TMP/doh.pem"
}

rig_begin 120
require_impl ours
need kdig python3 nsenter
for server in unbound dnsmasq; do
    names_has $server || skip "$server is not here: run tools/deps.sh check first"
done
doh_certificate
NAMES_RESOURCES=$'[resource Server]\ntype = cidr\naddress = 10.40.1.53/32\nsite = S1'
NAMES_POLICIES=$'[policy server]\ngroups = *\nresources = Server'
names_begin "easy dual" "easy v4"
echo "nameserver ${NAT_ADDR6[s]}" | tee -a "$TMP/etc-c1/resolv.conf" >>"$TMP/etc-c1/resolv.conf.original"
names_serve n1 dnsmasq
serve_dnsmasq
names_gateway g1
names_client FIREZONE_CA_FILE="$TMP/doh.pem"

say "dnsmasq"
questions dnsmasq "$DNSMASQ" sr s1
matrix
matrix +edns
matrix +tcp +keepopen
expect "big.test. TXT UDP NOERROR 1 qr aa tc rd ra" +ignore big.test TXT
expect "big.test. TXT TCP NOERROR 8 qr aa rd ra" +tcp big.test TXT

say "unbound"
serve_unbound
questions unbound "$UNBOUND" sx c1
same_records public.test
same_records fresh.test
asked "${QUESTIONS[@]}" >"$TMP/first"
for options in +noedns +edns +bufsize=512 +bufsize=4096 +dnssec +cookie=0123456789abcdef +norecurse "+tcp +keepopen" \
    "+tcp +dnssec +cookie=0123456789abcdef"; do
    # shellcheck disable=SC2086 # words
    matrix $options
done
STUB=$(sed -n 's/^nameserver //p' "$TMP/etc-c1/resolv.conf" | sed -n 2p)
[[ $STUB == *:* ]] || fail "the client has no IPv6 server: $(cat "$TMP/etc-c1/resolv.conf")"
matrix
matrix +tcp +keepopen
STUB=
mixed_case udp
mixed_case tcp
lengths test
lengths many.corp.test
expect "fresh.test. A UDP BADVERS 0 qr rd ra" +edns=1 fresh.test A
# What looks like a question, and is not the client's to answer.
expect "public.test. SOA UDP REFUSED 0 qr ra" -t NOTIFY -q public.test

say "unbound by DoH"
ctl dns mode=secure url="$DOH_URL" >/dev/null
client_says c1 10 "stands for $DOH_URL"
doh_answers() {
    [[ $(names_ask stub udp fresh.test A) == "NOERROR 192.0.2.9" ]]
}
eventually 10 doh_answers || fail "no answer by DoH: $(tail -n 20 "$TMP/c1.log")"
same_records public.test
same_records fresh.test
asked "${QUESTIONS[@]}" >"$TMP/first"
matrix +noedns
matrix +dnssec
matrix +tcp +keepopen
mixed_case udp
lengths test

say "unbound through the tunnel"
ctl dns mode=custom servers=10.40.1.53 >/dev/null
client_says c1 10 "stands for 10.40.1.53:53"
lengths test
expect "nothing.test. A UDP NXDOMAIN 0 qr aa rd ra" nothing.test A
expect "hidden.corp.test. A TCP NOERROR 1 qr aa rd ra" +tcp hidden.corp.test A

names_end
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
