#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The system's DNS through the real systemd-resolved, on a bus of its own: what it thinks of the TUN's link, whom it asks, and
# what becomes of that when the client, resolved or the bus ends.
#
#     [a: dbus-daemon, systemd-resolved, dns_probe with tun0; up0 ] ===== [up]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/bus.sh
. "$(dirname "$0")/support/bus.sh"
rig_begin 120
need_resolved

PROBE=$BUILD/release/support/dns_probe
[[ -x $PROBE ]] || fail "no $PROBE: run make support first"

# probe_start: in the background with a fifo for orders
probe_start() {
    rm -f "$TMP/orders" "$TMP/probe.log"
    mkfifo "$TMP/orders"
    exec 9<>"$TMP/orders"
    spawn_inside probe "$PROBE" tun0 <"$TMP/orders"
    PROBE_PID=$SPAWNED
    eventually 10 grep -qx 'open ok' "$TMP/probe.log" || fail "no probe: $(tail -n 1 "$TMP/probe.log")"
    inside ip address add 100.96.0.1/32 dev tun0
    inside ip link set tun0 up
    inside ip route add 100.100.111.0/24 dev tun0
}

# probe_asks ORDER: prints the answer
probe_asks() {
    local before word=${1%% *}
    before=$(grep -c "^$word " "$TMP/probe.log" || true)
    echo "$1" >&9
    eventually 10 probe_lines "$word" "$before" || fail "'$1' is not answered"
    grep "^$word " "$TMP/probe.log" | tail -n 1
}

probe_lines() { # WORD MORE_THAN
    [[ $(grep -c "^$1\\b" "$TMP/probe.log") -gt $2 ]]
}

link_property() { # PROPERTY: of tun0, as busctl prints it
    local path
    path=$(inside busctl --timeout=5 call org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager \
        GetLink i "$(inside cat /sys/class/net/tun0/ifindex)" | cut -d'"' -f2)
    inside busctl --timeout=5 get-property org.freedesktop.resolve1 "$path" org.freedesktop.resolve1.Link "$1"
}

check_property() { # PROPERTY WANT
    local got
    got=$(link_property "$1")
    [[ $got == "$2" ]] || fail "$1 of the link: '$got', not '$2'"
}

check_set() {
    check_property DNS 'a(iay) 2 2 4 100 100 111 1 10 16 253 0 32 33 17 17 128 0 0 0 0 0 0 0 0 1'
    check_property Domains 'a(sb) 2 "example.com" false "." true'
    check_property DefaultRoute 'b true'
    check_property LLMNR 's "yes"'
    check_property DNSSEC 's "no"'
    check_property DNSOverTLS 's "no"'
}

is_set() {
    [[ $(link_property DNS) == 'a(iay) 2 '* && $(link_property Domains) == 'a(sb) 2 '* && $(link_property LLMNR) == 's "yes"' ]]
}

check_resolvers() { # WANT
    local got
    got=$(probe_asks resolvers)
    [[ $got == "$1" ]] || fail "it finds '$got', not '$1'"
}

ns_add a up
link a up 2
bus_world a systemd-resolve

say "without systemd-resolved it says what to do"
bus_start "$RESOLVED/usr/share/dbus-1/system.d"
inside "$PROBE" tun0 </dev/null >"$TMP/out" 2>&1 && fail "it opens without a resolved"
grep -q '^open failed: systemd-resolved does not run: start it, or use --dns-control' "$TMP/out" || fail "$(cat "$TMP/out")"

resolved_start
resolvectl dns a-up 192.0.2.2 2001:db8:2::2
probe_start
eventually 5 probe_lines changed 0 || fail "it does not look at the resolvers once the watch is in force"
check_resolvers 'resolvers 192.0.2.2:53 [2001:db8:2::2]:53'

say "set, seen by resolved and by whoever asks a name"
[[ $(probe_asks 'set 100.100.111.1,fd00:2021:1111:8000::1 example.com') == 'set ok' ]] || fail "$(tail -n 1 "$TMP/probe.log")"
check_set
check_resolvers 'resolvers 192.0.2.2:53 [2001:db8:2::2]:53'
inside mount --bind /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
before=$(grep -c '^query' "$TMP/probe.log" || true)
LIMIT=3 inside getent hosts elsewhere.example.org >/dev/null || true
eventually 3 probe_lines 'query 100.100.111.1' "$before" || fail "a name outside the search domain is not asked for in the tunnel"
! probe_lines 'query 192.0.2' 0 || fail "somebody else is asked for it, too"
[[ $(probe_asks flush) == 'flush ok' ]] || fail flush
check_asleep "$PROBE_PID"

say "the system's own resolvers change"
before=$(grep -c '^changed' "$TMP/probe.log")
resolvectl dns a-up 192.0.2.7:5353
eventually 5 probe_lines changed "$before" || fail "the change is not noticed"
check_resolvers 'resolvers 192.0.2.7:5353'

say "other settings, and back"
[[ $(probe_asks 'set 100.100.111.1') == 'set ok' ]] || fail "second set"
check_property DNS 'a(iay) 1 2 4 100 100 111 1'
check_property Domains 'a(sb) 1 "." true'
[[ $(probe_asks revert) == 'revert ok' ]] || fail revert
check_property DNS 'a(iay) 0'
check_property Domains 'a(sb) 0'
[[ $(probe_asks 'set 100.100.111.1,fd00:2021:1111:8000::1 example.com') == 'set ok' ]] || fail "third set"
check_set

say "resolved is killed and starts anew, with nothing left of what it knew"
before=$(grep -c '^changed' "$TMP/probe.log")
end_spawned "$RESOLVED_PID" KILL
inside sh -c 'rm -rf /run/systemd/resolve/netif/*'
resolved_start
eventually 10 is_set || fail "it is not told again: $(link_property DNS) $(link_property Domains)"
check_set
eventually 5 probe_lines changed "$before" || fail "the restart is no change"

say "the bus is killed and starts anew"
before=$(grep -c '^changed' "$TMP/probe.log")
bus_stop
eventually 5 grep -q 'the system bus is away' "$TMP/probe.log" || fail "it is not noticed"
bus_start "$RESOLVED/usr/share/dbus-1/system.d"
# resolved comes back by itself, or is started by the service manager
eventually 3 bus_has org.freedesktop.resolve1 || {
    end_spawned "$RESOLVED_PID" KILL
    inside sh -c 'rm -rf /run/systemd/resolve/netif/*'
    resolved_start
}
eventually 15 is_set || fail "it is not told again after the bus was away"
check_set
eventually 5 probe_lines changed "$before" || fail "the bus' restart is no change"
eventually 5 grep -q 'the system bus is back' "$TMP/probe.log" || fail "it is not told that the bus is back"

say "the client is killed: nothing is left"
end_spawned "$PROBE_PID" KILL
eventually 5 sh -c "! ip -n '$(ns a)' link show tun0" || fail "the device is left"
link_is_gone() {
    ! resolvectl --no-pager status | grep -E '100\.100\.111\.1|tun0' >/dev/null
}
eventually 5 link_is_gone || fail "resolved still knows the link"

say "a clean end, and the same again"
probe_start
[[ $(probe_asks 'set 100.100.111.1,fd00:2021:1111:8000::1 example.com') == 'set ok' ]] || fail "set after a kill"
check_set
echo quit >&9
finish "$PROBE_PID" 5 || fail "it does not end: $?"
eventually 5 link_is_gone || fail "resolved still knows the link"

say "without the privilege it says so"
echo 'set 100.100.111.1' | inside "$PROBE" tun0 65534 >"$TMP/out" 2>&1
grep -q '^set failed: systemd-resolved does not let this user take DNS servers for tun0 .*run as root' "$TMP/out" || fail "$(cat "$TMP/out")"
exec 9>&-
end_spawned "$RESOLVED_PID" TERM
end_spawned "$BUS_DAEMON" TERM
rig_end
