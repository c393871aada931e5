# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# A host's system bus and services on it, in a network namespace and a mount namespace of their own; after netns.sh.
#
#   ns_add a
#   bus_world a                     a /run of its own, users that services run as, all for what `inside` runs
#   bus_start                       dbus-daemon
#   inside busctl list             and bus_has NAME

RESOLVED=$DEPS/tools/resolved
BUS_WORLD=   # process that holds the namespaces
BUS_DAEMON=  # dbus-daemon
BUS_UID=64990

# inside COMMAND...: at most $LIMIT (30) seconds
inside() {
    nsenter -t "$BUS_WORLD" -m -n timeout -k 1 "${LIMIT:-30}" "$@"
}

# spawn_inside NAME COMMAND...: as spawn; input is not taken away
spawn_inside() {
    local name=$1
    shift
    (
        trap - ERR
        exec nsenter -t "$BUS_WORLD" -m -n "$@"
    ) >>"$TMP/$name.log" 2>&1 <&0 &
    SPAWNED=$!
    RIG_PIDS+=("$SPAWNED")
}

# end_spawned PID SIGNAL: at once, and waits
end_spawned() {
    kill -s "$2" "$1"
    wait "$1" 2>/dev/null || true
}

bus_world() { # NS USER...
    local where=$1 user file
    shift
    for file in passwd group; do
        cp "/etc/$file" "$TMP/$file"
        chmod 644 "$TMP/$file"
    done
    for user in "$@"; do
        getent passwd "$user" >/dev/null && continue
        echo "$user:x:$BUS_UID:$BUS_UID::/:/usr/sbin/nologin" >>"$TMP/passwd"
        echo "$user:x:$BUS_UID:" >>"$TMP/group"
        BUS_UID=$((BUS_UID + 1))
    done
    : >"$TMP/resolv.conf"
    chmod 644 "$TMP/resolv.conf"
    # shellcheck disable=SC2016 # expanded by the inner shell
    spawn world "$where" unshare -m --propagation private sh -c '
        set -e
        umask 022
        mount --make-rprivate /
        mount -t tmpfs tmpfs /run
        mkdir -p /run/dbus /run/systemd
        for file in passwd group resolv.conf; do
            mount --bind "$1/$file" "/etc/$file"
        done
        touch "$1/world"
        exec sleep 100000' sh "$TMP"
    BUS_WORLD=$SPAWNED
    eventually 5 test -e "$TMP/world" || skip "mount namespaces are refused: $(tail -n 1 "$TMP/world.log")"
}

# With the policies of the services that are not installed but in folders: bus_start [FOLDER]...
bus_start() {
    local folder
    {
        echo '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"'
        echo ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
        echo '<busconfig><include>/usr/share/dbus-1/system.conf</include>'
        for folder in "$@"; do
            echo "<includedir>$folder</includedir>"
        done
        echo '</busconfig>'
    } >"$TMP/bus.conf"
    spawn_inside dbus dbus-daemon --config-file="$TMP/bus.conf" --nofork --nopidfile --nosyslog
    BUS_DAEMON=$SPAWNED
    eventually 5 bus_has org.freedesktop.DBus ||
        fail "no system bus: $(tail -n 3 "$TMP/dbus.log")"
}

bus_has() { # NAME
    [[ $(inside busctl --timeout=2 call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus NameHasOwner s "$1") == 'b true' ]]
}

bus_stop() {
    end_spawned "$BUS_DAEMON" KILL
    inside rm -f /run/dbus/system_bus_socket
}

# resolved_start: systemd-resolved; returns when it is on the bus
resolved_start() {
    inside install -d -o systemd-resolve -g systemd-resolve -m 755 /run/systemd/resolve
    spawn_inside resolved "$RESOLVED/lib/systemd/systemd-resolved"
    RESOLVED_PID=$SPAWNED
    eventually 10 bus_has org.freedesktop.resolve1 ||
        fail "systemd-resolved does not come up: $(tail -n 3 "$TMP/resolved.log")"
}

switches() { # PID: how often it has gone to sleep
    awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$1/status"
}

sleeps_a_second() { # PID
    local before
    before=$(switches "$1")
    sleep 1
    [[ $(switches "$1") -eq $before ]]
}

# check_asleep PID: nothing wakes it up while nothing happens
check_asleep() {
    eventually 10 sleeps_a_second "$1" || fail "process $1 wakes up while nothing happens"
}

need_resolved() {
    need dbus-daemon busctl nsenter unshare
    [[ -x $RESOLVED/lib/systemd/systemd-resolved ]] || skip "no systemd-resolved: run tools/deps.sh check first"
    ! ldd "$RESOLVED/lib/systemd/systemd-resolved" "$RESOLVED/usr/bin/resolvectl" | grep 'not found' >/dev/null ||
        skip "systemd-resolved is of another version than this system's libsystemd-shared"
}

resolvectl() {
    inside "$RESOLVED/usr/bin/resolvectl" "$@"
}
