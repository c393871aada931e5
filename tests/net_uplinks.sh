#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2046 # addresses are words
#
# A client with two uplinks, of which nobody tells it: the default route is replaced, the link goes down, its addresses are
# taken away; there and back. Each uplink has addresses of its own and a relay that only it reaches. Every time the traffic to
# the relay, to the portal and straight to the gateway leaves by the new one with its address, within a second in the median, and
# after two seconds nothing leaves by the old one. A download inside the tunnel goes on, byte by byte. With marks, and with
# sources and interfaces looked up while marks are forbidden.
#
#          .== [c1_1] ==.        .== [g1_1] == [g1]
#     [c1] =             = [core] == [s], portal
#          '== [c1_2] ==' '====== [r1], a relay for who comes by c1_1, [r2] by c1_2
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh disable=SC1091
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh disable=SC1091
. "$(dirname "$0")/support/p2p.sh"
rig_begin 280
require_impl ours
need python3 tcpdump

SWITCHES=6 # of each kind, half of them back
SLOT=3.6   # seconds from one to the next: two to settle, the rest to look
MEDIAN_MS=1000 WORST_MS=2000

# at UPLINK HOST: addresses of its net
at() {
    nat_lan c1 "$1" "$2"
}

# uplink_up UPLINK [METRIC]: all that it may have lost
uplink_up() {
    local number=$1 it
    {
        for it in $(at "$number" 2); do
            case $it in
            *:*) echo "address replace $it/64 dev eth$number nodad" ;;
            *) echo "address replace $it/24 dev eth$number" ;;
            esac
        done
        echo "link set eth$number up"
        default_by "$@"
    } | ip -n "$(ns c1)" -batch -
}

# default_by UPLINK [METRIC]: orders that lead there by default
default_by() {
    local it
    for it in $(at "$1" 1); do
        echo "route replace default via $it dev eth$1 ${2:+metric $2}"
    done
}

# switch KIND UPLINK: now, to this one
switch() {
    local it
    case $1-$2 in
    route-*) default_by "$2" ;;
    link-2) echo "link set eth1 down" ;;
    address-2)
        for it in $(at 1 2); do
            echo "address delete $it/$([[ $it == *:* ]] && echo 64 || echo 24) dev eth1"
        done
        # Unlike an IPv4 route it outlives the address; whoever takes that away takes both.
        echo "route delete default via $(nat_of :: $(at 1 1)) dev eth1"
        ;;
    *-1) uplink_up 1 >&2 ;;
    esac | ip -n "$(ns c1)" -batch -
}

# Before the switches of a kind the first uplink is in use.
prepare() { # KIND
    local family
    for family in -4 -6; do
        while ip -n "$(ns c1)" $family route delete default 2>/dev/null; do :; done
    done
    default_by 1 | ip -n "$(ns c1)" -batch -
    [[ $1 == route ]] || default_by 2 3000 | ip -n "$(ns c1)" -batch -
}

# What leaves by which uplink; the kernel's own neighbour discovery does not count.
watch_uplinks() {
    in_ns c1 nft -f - <<'RULES'
table inet fz_uplinks {
    counter out1 {}
    counter out2 {}
    chain out {
        type filter hook postrouting priority 0;
        oifname eth1 meta l4proto != ipv6-icmp counter name out1
        oifname eth2 meta l4proto != ipv6-icmp counter name out2
    }
}
RULES
    : >"$TMP/dump.log"
    # With short snapshots the buffer has room for many.
    spawn dump c1 tcpdump -i any -Q out -nn -tt -l -s 128 --immediate-mode \
        'udp dst port 3478 or udp dst port 52625 or tcp dst port 8081'
    DUMP_PID=$SPAWNED
    eventually 5 grep -q 'listening on' "$TMP/dump.log" || fail "tcpdump does not start: $(cat "$TMP/dump.log")"
}

# Each relay is a relay for one uplink.
part_relays() {
    local number other it
    {
        printf 'table inet fz_uplinks {\nchain forward {\ntype filter hook forward priority -1;\n'
        for number in 1 2; do
            other=r$((3 - number))
            printf 'iifname c1_%d ip daddr %s drop\n' $number "${NAT_ADDR4[$other]}"
            printf 'iifname c1_%d ip6 daddr %s drop\n' $number "${NAT_ADDR6[$other]}"
        done
        printf '}\n}\n'
    } | in_ns core nft -f -
}

# first WHAT SINCE UPLINK: milliseconds from then to the first packet of this kind that left by this uplink with its address;
# an old TCP connection may have had the same, and the kernel still ends it
first() {
    local to4 to6 port=52625
    case $1 in
    relay) to4=${NAT_ADDR4[r$3]} to6=${NAT_ADDR6[r$3]} port=3478 ;;
    direct) to4=${NAT_OUTER4[g1]} to6=${NAT_ADDR6[g1]} ;;
    portal) to4=${NAT_ADDR4[s]} to6=${NAT_ADDR6[s]} port=8081 ;;
    esac
    awk -v since="$2" -v device="eth$3" -v from4="$(nat_of 0.0.0.0 $(at "$3" 2))." -v from6="$(nat_of :: $(at "$3" 2))." \
        -v to4="$to4.$port:" -v to6="$to6.$port:" '
        $1 < since { old[$5] = 1; next }
        $2 == device && (index($5, from4) == 1 && $7 == to4 || index($5, from6) == 1 && $7 == to6) &&
            !(/Flags/ && $5 in old) {
            printf "%d\n", ($1 - since) * 1000; found = 1; exit
        }
        END { if (!found) print 99999 }' "$TMP/dump.log"
}

left() { # UPLINK: packets
    in_ns c1 nft list counter inet fz_uplinks "out$1" | awk '/packets/ { print $2 }'
}

# switches KIND: all of them; $TMP/KIND.WHAT has the times
switches() {
    local kind=$1 i to=1 what began n
    rm -f "$TMP/$kind".{relay,direct,portal}
    for ((i = 0; i < SWITCHES; i++)); do
        to=$((3 - to))
        began=$EPOCHREALTIME
        switch "$kind" "$to"
        sleep 2
        in_ns c1 nft reset counters >/dev/null
        for what in relay direct portal; do
            first "$what" "$began" "$to" >>"$TMP/$kind.$what"
        done
        sleep "$(awk -v slot=$SLOT -v began="$began" -v now="$EPOCHREALTIME" \
            'BEGIN { rest = began + slot - now; print (rest > 0.5 ? rest : 0.5) }')"
        kill -0 "$FETCH_PID" 2>/dev/null || fail "$kind: the download has ended: $(cat "$TMP/fetch.log")"
        n=$(left $((3 - to)))
        [[ $n -eq 0 ]] || fail "$kind: $n packets leave by the old uplink two seconds after the switch to eth$to: $(
            grep " eth$((3 - to)) " "$TMP/dump.log" | tail -n 3)"
        [[ $(left "$to") -gt 0 ]] || fail "$kind: nothing leaves by eth$to"
    done
}

signed_in() {
    grep -c "signed in" "$TMP/c1.log"
}

# A machine that has no time for us says nothing about the protocol.
overloaded() {
    awk -v cpus="$(nproc)" '{ exit !($1 > 4 * cpus) }' /proc/loadavg
}

judge() { # KIND
    local what median worst
    for what in relay direct portal; do
        sort -n "$TMP/$1.$what" -o "$TMP/$1.$what"
        median=$(sed -n "$(((SWITCHES + 1) / 2))p" "$TMP/$1.$what")
        worst=$(tail -n 1 "$TMP/$1.$what")
        say "  $1: $what: by the new uplink after $median ms in the median of $SWITCHES, $worst ms at most ($(paste -sd ' ' "$TMP/$1.$what"))"
        [[ $worst -ne 99999 ]] || fail "$1: no $what traffic by the new uplink: $(tail -n 60 "$TMP/c1.log")"
        if overloaded; then
            say "  $1: $what: not judged, the load is $(cut -d ' ' -f 1 /proc/loadavg)"
        elif [[ $median -gt $MEDIAN_MS || $worst -gt $WORST_MS ]]; then
            fail "$1: $what: too late by the new uplink"
        fi
    done
}

all_kinds() { # ARGUMENT...
    local kind server before sessions
    prepare route
    p2p_client 1 -- "$@"
    p2p_ping 1 2
    p2p_expect 1 10 "peer to peer"
    for kind in ${KINDS:-route link address}; do
        prepare "$kind"
        sleep 1.5 # unless the way out was the same before, and the portal takes one connection per second
        : >"$TMP/sums.log"
        : >"$TMP/fetch.log"
        spawn sums g1 python3 "$ROOT/tests/support/steady.py" serve 10.20.1.1 8000 "$(awk -v n=$SWITCHES -v slot=$SLOT 'BEGIN { print n * slot + 3 }')"
        server=$SPAWNED
        eventually 5 in_ns g1 sh -c "ss -Hltn | grep -q :8000" || fail "the server does not start"
        spawn fetch c1 python3 "$ROOT/tests/support/steady.py" fetch 10.20.1.1 8000
        FETCH_PID=$SPAWNED
        sleep 0.3
        before=$(signed_in)
        switches "$kind"
        sessions=$(($(signed_in) - before))
        [[ $sessions -eq $SWITCHES ]] || fail "$kind: $sessions connections to the portal for $SWITCHES switches"
        judge "$kind"
        finish "$server" 30 || fail "the TCP server ended with $?: $(cat "$TMP/sums.log")"
        finish "$FETCH_PID" 30 || fail "the download did not survive: $(cat "$TMP/fetch.log")"
        [[ $(tail -n 1 "$TMP/sums.log") == $(tail -n 1 "$TMP/fetch.log") ]] || fail "$kind: other bytes arrived than were sent"
    done
    client_end c1 0
}

p2p_portal 1
nat_host c1 easy
nat_host g1 easy
nat_host r1 none
nat_host r2 none
relay_start r1
relay_start r2
nat_second c1
part_relays
p2p_gateway 1
watch_uplinks
say "mark"
all_kinds
say "resolve, while marks are forbidden"
# shellcheck disable=SC2034 # of portal.sh
CLIENT_UNDER=$(support no_marks)
all_kinds --source-ip resolve
client_end g1 0
kill -TERM "$DUMP_PID"
finish "$DUMP_PID" 5 || fail "tcpdump ended with $?"
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
relay_end r1
relay_end r2
rig_end
