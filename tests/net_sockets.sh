#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All sockets that client and gateway ever have, seen from outside every 10 ms from start-up to shutdown: through lookups by UDP
# and TCP that get an answer and that get none, names that a program of the host asks it for, roams, reconnections to the portal and another relay. Each has the mark; with sources and interfaces
# looked up, each but those of the workers, which tell them with every packet, is bound to a device that is not the TUN. There
# are the workers' sockets, one connection to the portal and one to a DoH server, lookups while they last, the four of a gateway's DNS service, which are
# bound to the TUN, and no others. And in WireGuard mode those of the workers, with the mark of its configuration.
#
#     [c1] == [c1_1] or [c1_2] == [core] == [g1_1] == [g1]     and [s], portal, resolver, DoH server and relay, at core
#     [a] == [b]
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
rig_begin 150
require_impl ours
need python3
WORKERS=2
SOCKETS=$(support sockets)
declare -A READ=()

watch_sockets() { # NAME NS PID
    : >"$TMP/$1-sockets.log"
    READ[$1]=0
    spawn "$1-sockets" "$2" "$SOCKETS" "$3" 10
}

# What each line is (sockets.c): worker, portal, doh, dns-udp, dns-tcp; `starting` is one on its way to being any of these, or past it.
# shellcheck disable=SC2016 # for awk
CLASSES='
function port(address) { return address == "-" ? "" : substr(address, match(address, /,[0-9]+$/) + 1) }
{ class = "foreign" }
$1 == "udp" && $3 == "-" && port($2) == own { class = "worker" }
$1 ~ /^(udp|tcp)$/ && $3 == "-" && port($2) != own { class = "starting" }
$1 ~ /^(udp|tcp)$/ && port($3) == 53 { class = "dns-" $1 }
$1 == "tcp" && port($3) == 8081 { class = "portal" }
$1 == "tcp" && port($3) == 8443 { class = "doh" }
$1 ~ /^(udp|listen)$/ && $3 == "-" && port($2) == 53535 && $4 == "0x0" && $5 ~ /^fz[0-9]+g1$/ { class = "service" }
'

class_seen() { # NAME PORT CLASS: since the last call of sockets_of
    awk -v own="$2" -v from="${READ[$1]}" -v want="$3" "$CLASSES"'
        NR > from && class == want { found = 1 } END { exit !found }' "$TMP/$1-sockets.log"
}

# sockets_of NAME PORT HOW CLASS...: what was seen since the last call has all these classes, and nothing ever was unguarded.
# HOW: a mark, or `resolve` where there can be none.
sockets_of() {
    local name=$1 own=$2 how=$3 class bad log=$TMP/$1-sockets.log
    shift 3
    bad=$(awk -v own="$own" -v how="$how" "$CLASSES"'
        class == "foreign" { print "foreign:", $0 }
        how != "resolve" && class != "service" && $4 != how { print "not marked:", $0 }
        how == "resolve" && class !~ /^(worker|service)$/ && $5 !~ /^eth[12]$/ { print "not bound to an uplink:", $0 }' "$log")
    [[ -z $bad ]] || fail "$name: $bad"
    for class in "$@"; do # who has just said that it is connected may not have been looked at since
        eventually 2 class_seen "$name" "$own" "$class" || fail "$name: no $class socket was seen: $(tail -n +$((READ[$name] + 1)) "$log")"
    done
    READ[$name]=$(wc -l <"$log")
}

# calm NAME: now there are the sockets of the workers and their gate, in both families, the portal's, and nothing else
calm() {
    local is pid=${CLIENT_PID[$1]}
    is=$("$SOCKETS" "$pid" 0 | awk -v own=52625 "$CLASSES"'class != "service" { print class }' | sort | uniq -c | tr -s ' \n' ' ')
    [[ $is == " 1 portal $((2 * (WORKERS + 1))) worker " ]]
}

open_count() { # NAME CLASS
    "$SOCKETS" "${CLIENT_PID[$1]}" 0 | awk -v own=52625 -v want="$2" "$CLASSES"'class == want { n++ } END { print n + 0 }'
}

open_now() { # NAME CLASS
    "$SOCKETS" "${CLIENT_PID[$1]}" 0 | awk -v own=52625 -v want="$2" "$CLASSES"'class == want { found = 1 } END { exit !found }'
}

# dns WORD...: what else the resolver does (dns_server.py); its answers take long enough for the sockets to be seen
dns() {
    echo "slow $*" >"$TMP/dns-flags"
}

stays_open() { # KIND
    eventually 3 open_now c1 "dns-$1" || fail "no lookup by $1 is under way"
    sleep 0.3
    open_now c1 "dns-$1" || fail "the lookup by $1 has ended without an answer"
}

# joined COUNT: so often has the client been let in
joined() {
    client_says c1 20 "init received" "$1"
    eventually 5 calm c1 || fail "it has other sockets: $("$SOCKETS" "${CLIENT_PID[c1]}" 0)"
}

# answers SERVER ANSWER: this one answers for doh.test, which the client asks it for
answers() {
    eventually 10 client_stub c1 "$1" >/dev/null || fail "nothing stands for $1: $(grep ' dns: ' "$TMP/c1.log")"
    eventually 10 answer_is "$(client_stub c1 "$1")" "$2" || fail "no answer of $1: $(tail -n 20 "$TMP/c1.log")"
}

answer_is() { # ADDRESS ANSWER
    [[ $(in_ns c1 python3 "$ROOT/tests/support/dns_ask.py" "$1" udp doh.test A) == "$2" ]]
}

product() { # HOW ARGUMENT...
    local how=$1 variables=(FIREZONE_API_URL=ws://portal.test:8081 FIREZONE_CA_FILE="$TMP/doh.pem")
    shift
    gateway_start g1 g1 "${variables[@]}" -- --workers $WORKERS "$@"
    watch_sockets g1 g1 "${CLIENT_PID[g1]}"
    client_start c1 c1 "${variables[@]}" -- --workers $WORKERS "$@"
    watch_sockets c1 c1 "${CLIENT_PID[c1]}"
    client_says g1 10 "is up: "
    joined 1
    p2p_ping 1
    [[ $(open_count g1 service) -eq 4 ]] || fail "the DNS service of g1: $("$SOCKETS" "${CLIENT_PID[g1]}" 0)"
    eventually 5 calm g1 || fail "the gateway has other sockets: $("$SOCKETS" "${CLIENT_PID[g1]}" 0)"
    sockets_of c1 52625 "$how" worker portal dns-udp
    sockets_of g1 52625 "$how" worker portal dns-udp

    say "  names for a program, by DoH and by the resolver"
    ctl dns mode=secure url="$DOH_URL" >/dev/null
    answers "$DOH_URL" "$DOH_ANSWER"
    sockets_of c1 52625 "$how" doh
    ctl dns mode=system >/dev/null
    answers "${NAT_ADDR4[s]}" "NOERROR ${NAT_ADDR4[s]}"
    eventually 5 calm c1 || fail "it has other sockets: $("$SOCKETS" "${CLIENT_PID[c1]}" 0)"
    sockets_of c1 52625 "$how" dns-udp

    say "  lookups that get no answer, by UDP and by TCP"
    dns silent-udp
    kill -HUP "${CLIENT_PID[c1]}"
    stays_open udp
    dns truncate silent-tcp
    kill -HUP "${CLIENT_PID[c1]}"
    stays_open tcp
    sockets_of c1 52625 "$how" worker dns-udp dns-tcp
    dns truncate
    joined 2
    sockets_of c1 52625 "$how" portal
    dns

    say "  another uplink"
    nat_swap c1
    joined 3
    p2p_ping 1
    sockets_of c1 52625 "$how" worker portal dns-udp

    say "  the portal is away"
    ctl stop >/dev/null
    sleep 1.5
    ctl start >/dev/null
    joined 4
    sockets_of c1 52625 "$how" portal dns-udp
    client_says g1 20 "init received" 2
    sockets_of g1 52625 "$how" portal dns-udp

    say "  another relay, and by it"
    nat_drop c1 g1
    relay_end s
    relay_start s
    kill -HUP "${CLIENT_PID[c1]}"
    joined 5
    LIMIT=20 p2p_ping 1
    [[ $(p2p_path 1) == *relay* ]] || fail "the path is $(p2p_path 1)"
    nat_undrop c1 g1
    sockets_of c1 52625 "$how" worker portal dns-udp
    p2p_end 1
    sockets_of c1 52625 "$how"
    sockets_of g1 52625 "$how"
}

wireguard() {
    ns_add a b
    link a b 10
    conf a 5000 "Address = 10.9.0.1/24" "FwMark = 0x4d2"
    conf b 5000 "Address = 10.9.0.2/24"
    conf_peer a b 10.9.0.2/32 "Endpoint = 192.0.10.2:5000"
    conf_peer b a 10.9.0.1/32
    tunnel_up b b ours
    tunnel_start a a ours --workers $WORKERS
    watch_sockets a a "${T_PID[a]}"
    tunnel_wait a || fail "the tunnel does not start"
    in_ns a ping -q -c 2 -i 0.2 -W 4 10.9.0.2 >/dev/null || fail "no way through the tunnel"
    kill -HUP "${T_PID[a]}"
    sleep 0.5
    sockets_of a 5000 0x4d2 worker
    in_ns a ping -q -c 2 -i 0.2 -W 4 10.9.0.2 >/dev/null || fail "no way through the tunnel after SIGHUP"
    # Another port: the sockets are new, the mark is not.
    wg set "$(tun a)" listen-port 5001
    sleep 0.5
    sed -i 's/,5000 /,5001 /' "$TMP/a-sockets.log"
    sockets_of a 5001 0x4d2
}

p2p_begin 1
nat_host c1 easy
nat_host g1 easy
ip -n "$(ns g1)" address replace 10.20.1.1/32 dev lo
dns
spawn dns s python3 "$ROOT/tests/support/dns_server.py" "${NAT_ADDR4[s]},${NAT_ADDR6[s]}" "$TMP/dns-flags" \
    {portal,doh}.test="${NAT_ADDR4[s]}" {portal,doh}.test="${NAT_ADDR6[s]}"
eventually 5 grep -qx ready "$TMP/dns.log" || fail "the resolver does not start: $(cat "$TMP/dns.log")"
doh_certificate
doh_start s ::
printf 'nameserver %s\nnameserver %s\n' "${NAT_ADDR4[s]}" "${NAT_ADDR6[s]}" >"$TMP/resolv.conf"
say "mark"
product 0xfd002021
mkdir "$TMP/marked"
mv "$TMP"/{c1,g1}{,-sockets}.log "$TMP/marked"
say "resolve, while marks are forbidden"
# shellcheck disable=SC2034 # of portal.sh
CLIENT_UNDER=$(support no_marks)
product resolve --source-ip resolve
unset CLIENT_UNDER
say "wireguard"
wireguard
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end s
rig_end
