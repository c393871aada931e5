#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A client that keeps no rules (tests/support/hostile_client.c), against the gateway: what it may not send is refused and counted,
# and nothing of it leaves the gateway's TUN, let alone reaches the private net; others go on meanwhile. Then names that lead astray,
# hosts of the private net that speak as if they were others, and one whom nobody knows.
#
#   net_names_hostile.sh [CASE]...      all of them, or these
#
#     [c1: hostile] == [NAT] == . . == [g1] -- [n1: *.corp.test]     [c2], another client, at core; [s], portal and relay
#
# shellcheck disable=SC2034,SC2154 # variables of names.sh, keys of arrays
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

HOSTILE=$BUILD/release/support/hostile_client
COUNT=20 # of each packet

# ---- what is seen where ----

# What comes out of the gateway's TUN, what arrives in the private net but its DNS, and what the client's host gets but refusals.
watch_all() {
    watch g1 "iifname $(tun g1) counter name seen"
    watch n1 "icmpv6 type { 133-137, 143 } accept
        udp dport 53 accept
        tcp dport 53 accept
        iifname eth0 counter name seen"
    watch c1 "icmp type destination-unreachable accept
        icmpv6 type destination-unreachable accept
        iifname $(tun c1) counter name seen"
}

watch() { # NS RULES
    printf 'table inet fz_seen {\ncounter seen {}\nchain in { type filter hook prerouting priority -400;\n%s\n}\n}\n' "$2" |
        in_ns "$1" nft -f - || fail "nftables does not watch $1"
}

seen() { # NS
    in_ns "$1" nft list counter inet fz_seen seen | awk '/packets/ { print $2 }'
}

forget_seen() {
    local it
    for it in g1 n1 c1; do
        in_ns "$it" nft reset counter inet fz_seen seen >/dev/null
    done
}

nothing_seen() { # WHAT
    local it
    for it in g1 n1 c1; do
        [[ $(seen "$it") -eq 0 ]] || fail "$1: $(seen "$it") packets are seen at $it"
    done
}

has_counted() { # NAME COUNTER VALUE
    [[ $(client_counter "$1" "$2") -ge $3 ]]
}

# ---- what is done ----

hostile() { # COUNT WHAT...
    in_ns c1 python3 -S "$ROOT/tests/support/hostile.py" client "$@"
}

# The same of a host of the private net, to the gateway.
from_network() { # COUNT WHAT...
    in_ns n1 python3 -S "$ROOT/tests/support/hostile.py" link eth0 "$(in_ns g1 cat /sys/class/net/priv/address)" "$@"
}

# refused COUNTER WHAT...: all of it ends at this counter of the gateway's, and is seen nowhere
refused() {
    refused_of hostile "$@"
}

refused_of() { # hostile|from_network COUNTER WHAT...
    local sender=$1 counter=$2 before want what
    shift 2
    what="$*"
    what=${what:0:1000}
    before=$(client_counter g1 "$counter")
    want=$((before + COUNT * $#))
    forget_seen
    $sender "$COUNT" "$@"
    eventually 3 has_counted g1 "$counter" $want || fail "$what counts $(($(client_counter g1 "$counter") - before)) at $counter: $(counters_since)"
    nothing_seen "$what"
    [[ $(client_counter g1 "$counter") -eq $want ]] || fail "$what counts more than once at $counter"
}

counters_since() {
    grep ' counter ' "$TMP/g1.log" | tail -n 40 | sed 's/.* counter //' | tr '\n' ' '
}

# passes WHAT...: and this arrives, each; how many there are of it is not seen: those that follow each other are joined
passes() {
    local it
    for it in "$@"; do
        forget_seen
        hostile $COUNT "$it"
        eventually 3 n1_has_seen || fail "$it does not arrive at n1, $(seen g1) do at g1: $(counters_since)"
    done
}

n1_has_seen() {
    [[ $(seen n1) -gt 0 ]]
}

# Whoever is allowed to gets where he wants: the hostile one's host, and the other client.
others_go_on() {
    names_connects app.corp.test 80 open
    names_connects six.corp.test 80 open 6
    other_goes_on
}

other_goes_on() {
    [[ $(in_ns c2 python3 "$ROOT/tests/support/web.py" connect 10.40.1.11 80) == open* ]] ||
        fail "the other client has no way: $(tail -n 20 "$TMP/c2.log" "$TMP/g1.log")"
}

tunnel_address() { # HOST FAMILY
    ip -n "$(ns "$1")" -o "-$2" address show dev "$(tun "$1")" scope global | awk '{ sub("/.*", "", $4); print $4 }'
}

proxy() { # NAME TYPE: the first of its addresses
    names_ask stub udp "$1" "$2" | awk '$1 == "NOERROR" { print $2 }'
}

resource_id() { # NAME
    ctl state part=resources | python3 -c '
import json, sys
state = json.load(sys.stdin)
print(*[it["id"] for it in state.get("resources", state) if it["name"] == sys.argv[1]])' "$1"
}

# ---- cases ----

case_others() {
    say "what is granted to nobody, or to another"
    refused in_prohibited "tcp $C1 10.40.1.70 4000 80" "udp $C1 10.40.2.1 4000 53" "echo $C1 10.40.1.70" "tcp $C1 ${NAT_ADDR4[s]} 4000 8081" \
        "tcp $C1V6 fd40:1::10 4000 80" "echo $C1V6 fd40:1::12"
    say "  the other client, proxy addresses of no name, stub resolvers"
    refused in_prohibited "udp $C1 $C2 4000 4000" "echo $C1V6 $C2V6" "tcp $C1 100.96.200.1 4000 80" "udp $C1 100.100.111.1 4000 53" \
        "tcp $C1V6 fd00:2021:1111:8000::ffff 4000 80" "udp $C1V6 fd00:2021:1111:8000:100:100:111:1 4000 53"
}

case_source() {
    say "sources that are not the client's"
    refused in_bad_source "tcp $C2 10.40.1.11 4000 80" "tcp 10.40.1.53 10.40.1.11 4000 80" "tcp 192.0.2.77 10.40.1.11 4000 80" \
        "tcp 224.0.0.9 10.40.1.11 4000 80" "tcp 127.0.0.1 10.40.1.11 4000 80" "tcp 0.0.0.0 10.40.1.11 4000 80" "tcp $G1 10.40.1.11 4000 80" \
        "tcp $C2 $G1 4000 53535" "udp $C2V6 $SIX 4000 80" "udp 2001:db8::77 $SIX 4000 80" "udp fe80::1 $SIX 4000 80" \
        "udp ff02::1 $SIX 4000 80" "udp ::1 $SIX 4000 80" "udp :: $SIX 4000 80"
    say "  destinations that are many"
    refused in_multicast "udp $C1 224.0.0.9 4000 80" "udp $C1V6 ff02::1 4000 80"
}

case_filters() {
    say "ports and protocols that filters shut"
    passes "tcp $C1 10.40.1.11 4001 80" "tcp $C1 $APP 4001 80" "echo $C1 $APP"
    refused in_prohibited "tcp $C1 10.40.1.11 4002 81" "udp $C1 10.40.1.11 4002 80" "echo $C1 10.40.1.11" "other 47 $C1 10.40.1.11" \
        "tcp $C1 $APP 4002 8080" "udp $C1 $APP 4002 80" "other 132 $C1 $APP"
    say "  what no filter is asked about"
    refused in_icmp_error "error $C1 10.40.1.11" "error $C1V6 $SIX"
    refused in_fragment "fragment $C1 10.40.1.11" "fragment $C1V6 $SIX"
    refused in_unsupported "other 47 $C1V6 $SIX"
    refused in_bad_packet "hex 00" "hex 45" "hex 4500ffff" "hex 6000" "hex f0$(printf '00%.0s' {1..60})"
}

case_ended() {
    say "an authorisation that has ended by itself, and one that was revoked"
    passes "tcp $C1 10.40.1.11 4003 80" "udp $C1 $WEB 4003 4003" "udp $C1V6 $WEB6 4003 4003"
    ctl lifetime in=1 client="device c1" resource=Lab | grep -q '"authorizations": 1' || fail "there was no authorisation: $(cat "$TMP/ctl")"
    sleep 2.5
    refused in_prohibited "tcp $C1 10.40.1.11 4001 80" "tcp $C1 10.40.1.11 4003 80"
    ctl revoke client="device c1" resource=Web | grep -q '"authorizations": 1' || fail "there was no authorisation: $(cat "$TMP/ctl")"
    sleep 0.5
    refused in_prohibited "udp $C1 $WEB 4003 4003" "udp $C1 $WEB 4004 4003" "udp $C1V6 $WEB6 4003 4003" "echo $C1 $WEB"
}

# assigned RESOURCE NAME ADDRESSES: what says that these stand for the name
assigned() {
    printf 'event 0 {"resource":"%s","domain":"%s","proxy_ips":[%s]}' "$1" "$2" "$3"
}

case_control() {
    say "control packets: for what is not granted, for other names, with addresses that stand for none"
    local COUNT=5 app hidden lab it many=() # few enough for control, which takes so many at once
    app=$(resource_id App) hidden=$(resource_id Hidden) lab=$(resource_id Lab)
    refused names_forbidden "$(assigned "$hidden" hidden.corp.test '"100.96.9.1"')" "$(assigned "$lab" app.corp.test '"100.96.9.1"')" \
        "$(assigned 00000000-0000-0000-0000-000000000000 app.corp.test '"100.96.9.1"')"
    refused names_mismatched "$(assigned "$app" hidden.corp.test '"100.96.9.1"')" "$(assigned "$app" x.app.corp.test '"100.96.9.1"')"
    for it in 10.40.1.15 "$C2" "$G1" 100.100.111.1 100.96.0.0 127.0.0.1 0.0.0.0 224.0.0.1 "$C2V6" fd00:2021:1111:8000:100:100:111:1 fd40:1::12 ::1; do
        many+=("$(assigned "$app" app.corp.test "\"100.96.9.1\",\"$it\"")")
    done
    refused names_strange "${many[@]}"
    refused in_prohibited "tcp $C1 100.96.9.1 4000 80"
    say "  broken ones, ones that are too long, and ones that gateways send"
    refused names_malformed "event 0 " "event 0 []" "event 0 {" "event 0 {}" "event 0 $(printf '[%.0s' {1..1200})" \
        "$(assigned "$app" "$(printf 'a%.0s' {1..300})" '"100.96.9.1"')" "$(assigned "$app" "app corp.test" '"100.96.9.1"')" \
        "$(assigned "$app" app.corp.test '1')" "$(assigned "$app" app.corp.test "$(printf '"100.96.9.1",%.0s' {1..40})\"100.96.9.1\"")"
    refused in_bad_packet "short 0 100 $(assigned "$app" app.corp.test '"100.96.9.1"' | cut -d ' ' -f 3-)" "short 0 47 {}" "short 0 44 {}"
    refused in_too_big "padded 0 1281 $(assigned "$app" app.corp.test '"100.96.9.1"' | cut -d ' ' -f 3-)" "hex 600000000518ff00$(printf '00%.0s' {1..1336})" \
        "padded 0 1400 $(assigned "$app" app.corp.test '"100.96.9.1"' | cut -d ' ' -f 3-)" "other 6 $C1 $WEB 0fa00fa000000001000000005002040000000000$(printf "00%.0s" {1..1241})"
    refused names_other "event 1 {\"resource\":\"$app\",\"domain\":\"app.corp.test\",\"status\":\"Active\"}" "event 77 {}"
}

case_flood() {
    say "more control packets than there may be: the others' go on"
    local it many=() resource
    names_connects a.many.corp.test 80 open
    resource=$(resource_id Many)
    for it in {1..400}; do
        many+=("$(assigned "$resource" "a$it.many.corp.test" "\"100.100.$((it / 200)).$((it % 200))\"")")
    done
    hostile 5 "${many[@]}"
    other_goes_on
    [[ $(client_counter g1 in_punt_full) -gt 0 ]] || fail "all of them were taken: $(counters_since)"
}

# What the host itself did not pass on into the TUN, because its source is there
dropped() {
    { in_ns g1 nft list chain ip firezone-gateway tunnel && in_ns g1 nft list chain ip6 firezone-gateway tunnel; } |
        awk '/ drop/ { for (i = 1; i < NF; i++) if ($i == "packets") n += $(i + 1) } END { print n + 0 }'
}

case_network() {
    say "hosts of the private net: as clients, as names, to nobody, with what is not granted"
    local it before connected goodbye=0200000000000000
    before=$(dropped)
    forget_seen
    from_network $COUNT "udp $C2 $C1 53 4000" "tcp $C2V6 $C1V6 80 4000"
    sleep 0.2
    [[ $(dropped) -eq $((before + 2 * COUNT)) ]] || fail "$(($(dropped) - before)) packets in a client's name are dropped, not $((2 * COUNT))"
    nothing_seen "packets in a client's name"
    refused_of from_network out_bad_source "udp 100.96.0.1 $C1 80 4000" "udp fd00:2021:1111:8000::1 $C1V6 80 4000"
    refused_of from_network out_no_route "udp 10.40.1.11 100.95.1.1 80 4000" "udp fd40:1::12 fd00:2021:1111::1f:ffff 80 4000"
    refused_of from_network out_prohibited "udp 10.40.1.70 $C1 80 4000" "tcp 10.40.1.11 $C1 81 4000" "echo 10.40.1.70 $C1" \
        "tcp fd40:1::10 $C1V6 80 4000" "udp fd40:1::12 $C1V6 80 4000" "udp 10.40.1.53 $C1 53 52625"
    refused_of from_network out_unsupported "other 255 fd40:1::12 $C1V6 $goodbye" "other 47 10.40.1.11 $C1"
    say "  as the gateway itself"
    connected=$(grep -c "connected to gateway" "$TMP/c1.log")
    in_ns g1 nft -f - <<RULES
table inet fz_into {
    counter seen {}
    chain out {
        type filter hook postrouting priority 400;
        icmpv6 type { 133, 143 } accept
        oifname $(tun g1) counter name seen
    }
}
RULES
    for it in "event 2 " "event 1 {}" "event 0 {}" "other 255 :: $C1V6 $goodbye" "other 255 $G1V6 $C1V6 $goodbye" "udp $G1V6 $C1V6 53535 4000" \
        "echo $G1V6 $C1V6" "udp $G1 $C1 53535 4000"; do
        forget_seen
        from_network $COUNT "$it"
        sleep 0.1
        nothing_seen "$it"
    done
    it=$(in_ns g1 nft list counter inet fz_into seen | awk '/packets/ { print $2 }')
    [[ $it -eq 0 ]] || fail "$it packets of them enter the gateway's TUN"
    others_go_on
    [[ $(grep -c "connected to gateway" "$TMP/c1.log") -eq $connected ]] || fail "the connection has ended: $(tail -n 20 "$TMP/c1.log")"
}

case_rebinding() {
    say "names of a resource that lead into the tunnel, to the gateway itself, or to no host"
    local name before refused version said
    before=$(client_counter g1 in_no_address) refused=$(client_counter g1 resolve_refused)
    forget_seen
    for name in "${!ASTRAY[@]}"; do
        version=4 said="Net Unreachable" # by the gateway, which has no address for the name
        [[ ${ASTRAY[$name]} != *:* ]] || version=6 said="Address unreachable"
        app ping -$version -n -c 1 -W 3 "$name.astray.corp.test" >"$TMP/ping" 2>&1 || true
        grep -q "$said" "$TMP/ping" || fail "$name.astray.corp.test, ${ASTRAY[$name]}: $(cat "$TMP/ping")"
    done
    [[ $(seen g1) -eq 0 && $(seen n1) -eq 0 ]] || fail "something is reached by such names"
    [[ $(client_counter g1 resolve_refused) -eq $((refused + ${#ASTRAY[@]})) ]] || fail "the gateway counts $(client_counter g1 resolve_refused) addresses: $(counters_since)"
    has_counted g1 in_no_address $((before + ${#ASTRAY[@]})) || fail "the gateway counts $(client_counter g1 in_no_address) packets: $(counters_since)"
    say "  public names that lead to resources, and to stub resolvers"
    before=$(client_counter c1 dns_rebinding)
    for name in proxy mapped stub mixed; do
        expect_answer udp "$name.public.test" A NOERROR
        expect_answer tcp "$name.public.test" AAAA NOERROR
    done
    expect_answer udp public.test A "NOERROR ${NAT_ADDR4[s]}"
    [[ $(client_counter c1 dns_rebinding) -eq $((before + 6)) ]] || fail "the client counts $(client_counter c1 dns_rebinding) answers that rebind"
    say "  of several addresses those that are hosts' are used"
    for name in $(names_ask stub udp mixed.corp.test A); do
        [[ $name == NOERROR || $(app python3 "$ROOT/tests/support/web.py" connect "$name" 80) == open* ]] || fail "mixed.corp.test is not reached at $name"
    done
}

stranger_sends() { # BYTES: by UDP, to the gateway
    in_ns s python3 -c '
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 51821))
for _ in range(int(sys.argv[3])):
    sock.sendto(bytes.fromhex(sys.argv[4]), (sys.argv[1], int(sys.argv[2])))' "${NAT_ADDR4[g1]}" $PORT $COUNT "$1"
}

case_dns() {
    say "the gateway's DNS service says no addresses, and nobody's names"
    local before asked
    before=$(client_counter g1 dns_refused)
    asked=$(grep -c hidden "$TMP/dns-n1.log" || true)
    forget_seen
    hostile $COUNT "dns $C1 $G1 4000 53535 hidden.corp.test 1" "dns $C1V6 $G1V6 4000 53535 hidden.corp.test 28" \
        "dns $C1 $G1 4000 53535 hidden.corp.test 255" "dns $C1 $G1 4000 53535 11.1.40.10.in-addr.arpa 12"
    eventually 3 has_counted g1 dns_refused $((before + 4 * COUNT)) || fail "the gateway refuses $(($(client_counter g1 dns_refused) - before)): $(counters_since)"
    [[ $(seen n1) -eq 0 && $(grep -c hidden "$TMP/dns-n1.log" || true) -eq $asked ]] || fail "questions go on to the private net"
}

case_stranger() {
    say "one who is not authorised: he knows the gateway's key, and then not even that"
    local key public before
    key=$(ctl state part=devices | python3 -c '
import json, sys
state = json.load(sys.stdin)
print(*[it["public_key"] for it in state.get("devices", state) if it["name"] == "device g1"])')
    watch s "udp dport { 51820, 51821 } counter name seen" # his ports
    for public in "$key" "$(wg genkey | wg pubkey)"; do
        PRIVATE[g]=unknown PUBLIC[g]=$public
        conf x 51820 "Address = 10.9.0.1/24"
        conf_peer x g 10.9.0.0/24 "Endpoint = ${NAT_ADDR4[g1]}:$PORT"
        before=$(client_counter g1 "$([[ $public == "$key" ]] && echo handshake_unknown_peer || echo in_bad_mac1)")
        tunnel_up x s ours
        ! in_ns s ping -q -n -c 1 -W 1 10.9.0.2 >/dev/null || fail "the stranger has a tunnel"
        eventually 5 has_counted g1 "$([[ $public == "$key" ]] && echo handshake_unknown_peer || echo in_bad_mac1)" $((before + 1)) ||
            fail "the gateway does not count him: $(counters_since)"
        [[ $(handshake_time x g) -eq 0 ]] || fail "the stranger has a session"
        tunnel_down x
    done
    say "  data of no session, STUN without credentials, and what is nothing at all"
    before=$(client_counter g1 in_no_session)
    stranger_sends "04000000$(printf '7f%.0s' {1..60})"
    eventually 3 has_counted g1 in_no_session $((before + COUNT)) || fail "data are not counted: $(counters_since)"
    before=$(client_counter g1 in_malformed)
    stranger_sends "$(printf '7f%.0s' {1..60})"
    eventually 3 has_counted g1 in_malformed $((before + COUNT)) || fail "garbage is not counted: $(counters_since)"
    stranger_sends "000100002112a442$(printf '7f%.0s' {1..12})"
    sleep 0.2
    [[ $(seen s) -eq 0 ]] || fail "the gateway answers the stranger, $(seen s) times"
}

case_goodbye() {
    say "the hostile one's goodbye: it is gone, the others are not"
    eventually 5 names_connection_is app.corp.test 80 open || fail "there is no connection to end: $(tail -n 20 "$TMP/c1.log")"
    hostile 1 "event 2 "
    sleep 0.5
    refused in_no_session "tcp $C1 10.40.1.11 4005 80" "tcp $C1 $APP 4005 80"
    other_goes_on
}

CASES=(others source filters ended control flood network rebinding dns stranger goodbye)
[[ $# -gt 0 ]] || set -- "${CASES[@]}"
for it in "$@"; do
    [[ $(type -t "case_$it") == function ]] || fail "there is no case '$it', but ${CASES[*]}"
done

rig_begin 120
require_impl ours
need python3 nsenter getent nft
[[ -x $HOSTILE ]] || fail "no $HOSTILE: run make support first"
! grep -q __wrap_client_frame "$CLIENT" || fail "the client that is shipped is the hostile one"
# What the private net's DNS server says about names that a resource covers.
declare -A ASTRAY=([tunnel4]=100.64.0.1 [proxy4]=100.96.0.1 [stub4]=100.100.111.1 [loopback4]=127.0.0.1 [none4]=0.0.0.0 [link4]=169.254.1.1
    [many4]=224.0.0.1 [all4]=255.255.255.255 [tunnel6]=fd00:2021:1111::1 [proxy6]=fd00:2021:1111:8000::1 [loopback6]=::1 [none6]=::
    [stub6]=fd00:2021:1111:8000:100:100:111:1 [link6]=fe80::1 [many6]=ff02::1 [mapped6]=::ffff:10.40.1.10)
for it in "${!ASTRAY[@]}"; do
    NAMES_RECORDS[n1]+=" $it.astray.corp.test=${ASTRAY[$it]}"
done
NAMES_RECORDS[n1]+=" mixed.corp.test=127.0.0.1 mixed.corp.test=10.40.1.10 mixed.corp.test=100.96.0.1"
NAMES_PUBLIC="proxy.public.test=100.96.0.1 proxy.public.test=fd00:2021:1111:8000::1 mapped.public.test=::ffff:100.96.0.1
    stub.public.test=100.100.111.1 stub.public.test=fd00:2021:1111:8000:100:100:111:1 mixed.public.test=192.0.2.1 mixed.public.test=100.96.0.1"
PORT=52625 # of the gateway's sockets
NAMES_POLICIES="[policy astray]
groups = *
resources = Astray
[policy mixed]
groups = *
resources = Mixed
"
NAMES_RESOURCES="[client-token c2]
token = .client-c2
[resource Astray]
type = dns
address = *.astray.corp.test
site = S1
[resource Mixed]
type = dns
address = mixed.corp.test
site = S1
[resource Unheard]
type = cidr
address = 10.40.2.0/24
site = S1
"
names_begin "easy v4" "none dual"
nat_host c2 easy v4
names_gateway g1
CLIENT=$HOSTILE names_client -- --workers 1
client_start c2 c2 FIREZONE_API_URL="$(p2p_url c2)"
client_says c2 10 "is up: "
C1=$(tunnel_address c1 4) C1V6=$(tunnel_address c1 6) C2=$(tunnel_address c2 4) C2V6=$(tunnel_address c2 6)
G1=$(tunnel_address g1 4) G1V6=$(tunnel_address g1 6)
others_go_on
APP=$(proxy app.corp.test A) SIX=$(proxy six.corp.test AAAA) WEB=$(proxy web.corp.test A) WEB6=$(proxy web.corp.test AAAA)
names_connects web.corp.test 80 open
[[ $(app python3 "$ROOT/tests/support/web.py" connect 10.40.1.11 80) == open* ]] || fail "no way to the CIDR resource"
ip -n "$(ns c1)" link set "$(tun c1)" mtu 1500 # packets in packets
for it in all priv; do
    in_ns g1 sysctl -q -w "net.ipv4.conf.$it.rp_filter=0" # nothing but the gateway looks at sources
done
watch_all
for it in "$@"; do
    "case_$it"
    [[ $it == goodbye ]] || others_go_on
done

names_end
client_end c2 0
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
