#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A good guest: whatever way it ends, the host is as it was before. A plain tunnel with default routes and the client, each ended by
# signals, killed, crashed, with its device taken away, unable to start, and without IPv6. What a kill leaves, the next start takes away.
#
#     [a] ===== [b]     a plain tunnel, and its peer, which does not answer
#     [c] ===== [p]     the client, and the portal
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh
. "$(dirname "$0")/support/portal.sh"
rig_begin 60
need nft unshare python3 setpriv setcap

require_impl ours
ns_add a b c p
link a b 1
link c p 2
ip -n "$(ns a)" route add default via 192.0.1.2
ip -n "$(ns a)" -6 route add default via 2001:db8:1::2
ip -n "$(ns c)" route add default via 192.0.2.2
for name in a c; do
    in_ns "$name" nft -f - <<<'table inet host { chain out { type filter hook output priority 0; accept; }; }'
done
mkdir "$TMP/run" # instead of /run
printf 'nameserver 192.0.2.53\nsearch corp.example\n' >"$TMP/resolv.conf"
CLIENT_MOUNTS="mount --bind $TMP/run /run"
cp "$TMP/resolv.conf" "$TMP/resolv.before"

# host NS: all that a guest could change. Dumps that are disturbed are printed twice; numbers of interfaces grow.
host() {
    local name
    name=$(ns "$1")
    for family in -4 -6; do
        ip -n "$name" -d "$family" rule
        ip -n "$name" -d "$family" route show table all | sort -u
        ip -n "$name" -d "$family" -o address | cut -d ' ' -f 2- | sort -u
    done
    ip -n "$name" -o link | sed -E 's/^[0-9]+: ([^@:]+).*mtu ([0-9]+).*/\1 \2/' | sort -u
    in_ns "$1" nft list ruleset
    in_ns "$1" sh -c 'cd /proc/sys/net && grep -rs . ipv4 ipv6 core unix || true' | grep -vE '^[^:]*(_count|/random|stable_secret|_id|/neigh/fz[^:]*|/conf/fz[^:]*):' | sort
    cat "$TMP/resolv.conf"
}

host_before() { # NS
    host "$1" >"$TMP/before-$1"
}

# host_check NS WAY
host_check() {
    host "$1" >"$TMP/after-$1"
    diff "$TMP/before-$1" "$TMP/after-$1" >"$TMP/diff" || fail "after '$2' the host differs: $(cat "$TMP/diff")"
    [[ -z $(ls -A "$TMP/run/dev.firezone.client" 2>/dev/null) ]] || fail "after '$2' there are notes: $(ls "$TMP/run/dev.firezone.client")"
}

# ---- the two guests: NAME is "a" or "c", and so is the namespace ----

printf '[portal]\nconnect_limit = no\n[account acme]\n[client-token c]\ntoken = .client-c\n[site S]\n[resource Lab]\ntype = cidr\naddress = 10.20.0.0/16\nsite = S\n[resource Six]\ntype = cidr\naddress = 2001:db8:20::/48\nsite = S\n' | portal_config
portal_start p --listen 0.0.0.0:8081
conf a 51820 "Address = 10.9.0.1/24, fd09::1/64" "MTU = 1420"
conf_peer a b "0.0.0.0/0, ::/0" "Endpoint = 192.0.1.2:51821"

guest_start() { # NAME
    : >"$TMP/$1.log"
    if [[ $1 == a ]]; then
        isolated_make
        CLIENT_MOUNTS=$CLIENT_MOUNTS spawn a a "$TMP/isolated" "$CLIENT" wireguard --config "$TMP/a.conf" --tun "$(tun a)" --workers 2
        CLIENT_PID[a]=$SPAWNED
    else
        client_start c c FIREZONE_API_URL=ws://192.0.2.2:8081
    fi
}

guest_up() { # NAME
    guest_start "$1"
    client_says "$1" 5 "is up: "
    if [[ $1 == a ]]; then
        [[ $(in_ns a cat /proc/sys/net/ipv4/conf/all/src_valid_mark) -eq 1 ]] || fail "src_valid_mark is off"
    else
        ip -n "$(ns c)" route show table 0x2021fd01 | grep '^192.0.2.0/24 dev c-p' >/dev/null || fail "there is no copy of the local network"
    fi
    guest_leads "$1" || fail "no route leads into the tunnel"
}

guest_leads() { # NAME: to where it shall, and not for its own
    local to=10.20.0.1
    [[ $1 == c ]] || to=203.0.113.9
    ip -n "$(ns "$1")" route get "$to" | grep "dev $(tun "$1")" >/dev/null && ! ip -n "$(ns "$1")" route get "$to" mark 0xfd002021 | grep "dev $(tun c)" >/dev/null
}

guest_code() { # NAME CODE TEXT: it ends by itself
    client_end "$1" "$2"
    client_says "$1" 1 "$3"
}

guest_dies() { # NAME SIGNAL: leaves something behind, which counts as nothing else
    kill "-$2" "${CLIENT_PID[$1]}"
    finish "${CLIENT_PID[$1]}" 10 2>/dev/null || true
    unset "CLIENT_PID[$1]"
    [[ $(ip -n "$(ns "$1")" rule | wc -l) -gt 3 && $(ip -n "$(ns "$1")" -6 rule | wc -l) -gt 2 ]] || fail "$2 has left no rules: nothing is tested here"
}

# ---- the ways to end ----

for guest in a c; do
    host_before "$guest"

    say "$guest: SIGTERM, SIGINT"
    guest_up "$guest"
    client_end "$guest" 0
    host_check "$guest" SIGTERM
    guest_up "$guest"
    kill -INT "${CLIENT_PID[$guest]}"
    finish "${CLIENT_PID[$guest]}" 10 || fail "SIGINT ended with $?"
    host_check "$guest" SIGINT

    for signal in KILL SEGV ABRT; do
        say "$guest: SIG$signal, then a new start and a clean end"
        guest_up "$guest"
        guest_dies "$guest" "$signal"
        guest_up "$guest"
        client_says "$guest" 1 "of a run that was killed"
        client_end "$guest" 0
        host_check "$guest" "SIG$signal"
    done

    say "$guest: the device is set down and up, and then deleted"
    guest_up "$guest"
    ip -n "$(ns "$guest")" link set "$(tun "$guest")" down
    client_says "$guest" 3 "was set down"
    ip -n "$(ns "$guest")" link set "$(tun "$guest")" up
    client_says "$guest" 3 "is up again"
    guest_leads "$guest" || fail "no route leads into the tunnel again"
    ip -n "$(ns "$guest")" -o -6 address show dev "$(tun "$guest")" | grep global >/dev/null || fail "the IPv6 address is not back"
    ip -n "$(ns "$guest")" link del "$(tun "$guest")"
    guest_code "$guest" 1 "the TUN device $(tun "$guest") has been taken away"
    host_check "$guest" "ip link del"

    say "$guest: the name of the device is taken"
    ip -n "$(ns "$guest")" tuntap add mode tun name "$(tun "$guest")"
    guest_start "$guest"
    guest_code "$guest" 1 "already exists and belongs to another program"
    ip -n "$(ns "$guest")" tuntap del mode tun name "$(tun "$guest")"
    host_check "$guest" "device taken"
done

say "a: its port is taken"
spawn holder a python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 51820))
time.sleep(50)'
holder=$SPAWNED
eventually 5 udp_listens a 51820 || fail "the port is not taken"
guest_start a
guest_code a 1 51820
kill "$holder"
host_check a "port taken"

say "c: a second client, and a gateway, are refused; the first stays"
guest_up c
host c >"$TMP/with"
client_start second c FIREZONE_API_URL=ws://192.0.2.2:8081
client_end second 1
client_says second 1 "(process ${CLIENT_PID[c]}) runs on this network"
gateway_start third c FIREZONE_API_URL=ws://192.0.2.2:8081
client_end third 1
host c | diff "$TMP/with" - >"$TMP/diff" || fail "who was refused has changed the host: $(cat "$TMP/diff")"
client_end c 0
host_check c "second instance"

for guest in a c; do
    say "$guest: IPv6 is switched off"
    in_ns "$guest" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
    host_before "$guest"
    guest_up "$guest"
    client_end "$guest" 0
    host_check "$guest" "no IPv6"
done
say "without root: what is missing is named"
chmod 711 "$TMP"
mkdir -m 755 "$TMP/bin"
chown 65534 "$TMP/a.conf"
real=$CLIENT CLIENT=$TMP/bin/as_nobody
cp "$real" "$TMP/bin/client"
chmod 755 "$TMP/bin/client"
printf '#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "%s" "$@"\n' "$TMP/bin/client" >"$CLIENT"
chmod 755 "$CLIENT"
for guest in a c; do
    host_before "$guest"
    guest_start "$guest"
    guest_code "$guest" 1 "needs CAP_NET_ADMIN: run as root, or run 'setcap cap_net_admin+ep' on the program"
    host_check "$guest" "no capability"
done
if setcap cap_net_admin+eip "$TMP/bin/client" 2>"$TMP/setcap"; then
    mounts=$CLIENT_MOUNTS
    node="mount -t tmpfs none /dev/net && mknod /dev/net/tun c 10 200 && chmod" # it may be there for root only
    for guest in a c; do
        say "$guest: without root, with file capabilities"
        CLIENT_MOUNTS="$mounts && $node 666 /dev/net/tun"
        guest_up "$guest"
        [[ $(ps -o uid= -p "${CLIENT_PID[$guest]}") -eq 65534 ]] || fail "it does not run as nobody"
        [[ $guest == c ]] || client_says a 1 "/run/dev.firezone.client takes no notes"
        client_end "$guest" 0
        host_check "$guest" "file capabilities"
        CLIENT_MOUNTS="$mounts && $node 600 /dev/net/tun"
        guest_start "$guest"
        guest_code "$guest" 1 "this user may not open /dev/net/tun; run: chmod 666 /dev/net/tun"
        CLIENT_MOUNTS="$mounts && mount -t tmpfs none /dev/net"
        guest_start "$guest"
        guest_code "$guest" 1 "/dev/net/tun does not exist; create it (mknod /dev/net/tun c 10 200) or pass the device into the container"
        CLIENT_MOUNTS=$mounts
        host_check "$guest" "no device node"
    done
else
    say "file capabilities are left out: $(cat "$TMP/setcap")"
fi
CLIENT=$real
cmp "$TMP/resolv.conf" "$TMP/resolv.before" || fail "resolv.conf differs"
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end
