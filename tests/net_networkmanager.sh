#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The real NetworkManager on a bus of its own: which of what it does is a move. Both networks have a default route; net2's is the
# better one.
#
#     [a: dbus-daemon, NetworkManager, nm_probe ] a-n1 ===== [n1]
#                                                 a-n2 ===== [n2]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/bus.sh
. "$(dirname "$0")/support/bus.sh"
rig_begin 90
need dbus-daemon busctl nsenter unshare

MANAGER=$DEPS/tools/networkmanager
PROBE=$BUILD/release/support/nm_probe
[[ -x $PROBE ]] || fail "no $PROBE: run make support first"
[[ -x $MANAGER/usr/sbin/NetworkManager ]] || skip "no NetworkManager: run tools/deps.sh check first"
export LD_LIBRARY_PATH=$MANAGER/usr/lib/x86_64-linux-gnu
! ldd "$MANAGER/usr/sbin/NetworkManager" "$MANAGER/usr/bin/nmcli" | grep 'not found' >/dev/null ||
    skip "NetworkManager needs other libraries than this system has"

nmcli() {
    inside "$MANAGER/usr/bin/nmcli" --wait 10 "$@" >"$TMP/nmcli.log" 2>&1 || fail "nmcli $*: $(tail -n 1 "$TMP/nmcli.log")"
}

manager_start() {
    spawn_inside manager "$MANAGER/usr/sbin/NetworkManager" --no-daemon --config="$TMP/manager.conf"
    MANAGER_PID=$SPAWNED
    eventually 10 bus_has org.freedesktop.NetworkManager || fail "no NetworkManager: $(tail -n 3 "$TMP/manager.log")"
    nmcli --get-values STATE general status
}

# primary_is NAME: that is what it has for its primary connection
primary_is() {
    local path
    path=$(inside busctl --timeout=5 get-property org.freedesktop.NetworkManager /org/freedesktop/NetworkManager \
        org.freedesktop.NetworkManager PrimaryConnection | cut -d'"' -f2)
    [[ $(inside busctl --timeout=5 get-property org.freedesktop.NetworkManager "$path" \
        org.freedesktop.NetworkManager.Connection.Active Id) == "s \"$1\"" ]]
}

moves() {
    grep -cx moved "$TMP/probe.log" || true
}

has_moved() { # TIMES
    [[ $(moves) -ge $1 ]]
}

# check_moves TIMES WHEN: so often since the test began, and not again in a while
check_moves() {
    eventually 5 has_moved "$1" || fail "$2: it has told of $(moves) moves, not $1"
    sleep 0.3
    [[ $(moves) -eq $1 ]] || fail "$2: it has told of $(moves) moves, not $1"
}

ns_add a n1 n2
bus_world a
# It takes the devices for its own only without udev, which a /sys that it can write to promises; its folders are ours.
inside mount -o remount,bind,ro /sys
inside mount -t tmpfs tmpfs /var/lib
inside sh -c 'mount --bind /etc /etc && mount -o remount,bind,ro /etc'
inside mkdir -p /run/connections
cat >"$TMP/manager.conf" <<'CONF'
[main]
plugins=keyfile
dns=none
no-auto-default=*
auth-polkit=false
hostname-mode=none
[keyfile]
path=/run/connections
[connectivity]
enabled=false
CONF
for i in 1 2; do
    ip link add "a-n$i" netns "$(ns a)" type veth peer name "n$i-a" netns "$(ns "n$i")"
    ip -n "$(ns "n$i")" link set "n$i-a" up
    # shellcheck disable=SC2016 # expanded by the inner shell
    printf '%s\n' '[connection]' "id=net$i" "uuid=00000000-0000-4000-8000-00000000000$i" type=ethernet "interface-name=a-n$i" \
        autoconnect=false '[ipv4]' method=manual "address1=192.0.$i.2/24,192.0.$i.1" "route-metric=$((100 - i))" \
        '[ipv6]' method=disabled | inside sh -c 'umask 077; cat >"/run/connections/net$1.nmconnection"' sh "$i"
done
bus_start "$MANAGER/usr/share/dbus-1/system.d"

say "it starts after the watch, and connects"
spawn_inside probe "$PROBE"
probe_pid=$SPAWNED
eventually 5 grep -qx 'open ok' "$TMP/probe.log" || fail "$(tail -n 1 "$TMP/probe.log")"
manager_start
nmcli device set a-n1 managed yes
nmcli device set a-n2 managed yes
check_moves 0 "without a connection"
nmcli connection up net1
eventually 5 primary_is net1 || fail "net1 is not primary"
check_moves 1 "the first connection"

say "a better one comes, and the other one goes"
nmcli connection up net2
eventually 5 primary_is net2 || fail "net2 is not primary"
check_moves 2 "a better connection"
nmcli connection down net1
check_moves 2 "one that was not primary has gone"
check_asleep "$probe_pid"

say "it starts anew: its paths are others, the connection is not"
for signal in TERM KILL; do
    end_spawned "$MANAGER_PID" "$signal"
    manager_start
    eventually 10 primary_is net2 || fail "net2 is not primary again"
    check_moves 2 "after SIG$signal"
done

say "it moves again, and loses everything"
nmcli connection down net2
check_moves 3 "no connection"
nmcli connection up net1
eventually 5 primary_is net1 || fail "net1 is not primary"
check_moves 4 "the other connection"

say "the bus is killed and starts anew, NetworkManager with it"
bus_stop
eventually 5 grep -q 'the system bus is away' "$TMP/probe.log" || fail "it is not noticed"
kill -s TERM "$MANAGER_PID" 2>/dev/null || true
wait "$MANAGER_PID" 2>/dev/null || true
bus_start "$MANAGER/usr/share/dbus-1/system.d"
manager_start
eventually 10 primary_is net1 || fail "net1 is not primary again"
check_moves 4 "after the bus was away"
nmcli connection up net2
check_moves 5 "a move after the bus was away"
end_spawned "$MANAGER_PID" TERM
end_spawned "$BUS_DAEMON" TERM
rig_end
