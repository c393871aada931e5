#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Our TURN client at coturn, over real sockets: allocations, channels, data, and all that may go wrong in between.
#
#     [c] ===== [r] ===== [p]     clients; coturn, three of it; an echo server
#               192.0.2.1, 2001:db8:2::1: of the allocations
#
# What coturn 4.6.1 cannot do is shown with fzrelay: an allocation of both families (coturn knows ADDITIONAL-ADDRESS-FAMILY only by
# the number that a draft had, and ignores that of RFC 8656); a 437 to an ALLOCATE that is authenticated; a 437 to a CHANNEL-BIND
# (coturn has 400 for it). It grants 600 s to each REFRESH that asks for nothing else: --max-allocate-lifetime only limits what
# ALLOCATE gets. Our own times are not that short either: the client whose refreshes are watched has a clock of 20 times the speed.
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/feed.sh
. "$(dirname "$0")/support/feed.sh"
rig_begin 150
need turnserver
[[ -x $BUILD/release/support/turn_client ]] || fail "no turn_client: run make support first"
[[ -x $BUILD/fzrelay ]] || fail "no fzrelay: run make first"

SPEED=20 # a REFRESH and a CHANNEL-BIND are due after 15 s of this clock's 300, a lifetime ends after 30
A4=192.0.2.1 A6=2001:db8:2::1 AT4=192.0.1.2 AT6=2001:db8:1::2
PEER4=192.0.2.2:7007 PEER6='[2001:db8:2::2]:7007' IDLE4=192.0.2.2:7008
declare -A COTURN_PID=()

coturn() { # NAME PORT OPTION...: until it listens
    local name=$1 port=$2
    shift 2
    spawn "$name" r turnserver -n --listening-ip=$AT4 --listening-ip=$AT6 --listening-port="$port" --no-tls --no-dtls --no-cli \
        --realm=firezone --lt-cred-mech --user=alice:secret --pidfile="$TMP/$name.pid" --userdb="$TMP/$name.db" --log-file=stdout "$@"
    COTURN_PID[$name]=$SPAWNED
    eventually 15 udp_listens r "$port" || fail "coturn does not listen: $(tail -n 5 "$TMP/$name.log")"
}

# coturn_end NAME: it does not end by itself after SIGTERM, but of the signal
coturn_end() {
    local status=0
    kill -TERM "${COTURN_PID[$1]}"
    finish "${COTURN_PID[$1]}" 5 || status=$?
    [[ $status -eq 0 || $status -eq 143 ]] || fail "coturn $1 ended with $status"
}

client() { # NAME OPTION... RELAY...
    feed_start "$1" c "$BUILD/release/support/turn_client" "${@:2}"
}

quit() { # NAME
    feed "$1" quit
    feed_end "$1" || fail "the client $1 ended with $?"
}

# exchanges NAME PEER [N]: N (5) datagrams on the channel come back
exchanges() {
    local name=$1 peer=$2 n=${3:-5} pattern before
    pattern="^data ${2//[][]/.} "
    before=$(feed_count "$name" "$pattern")
    feed "$name" "send $peer $n 20"
    feed_says "$name" 5 "$pattern" $((before + n))
}

# bind NAME PEER [TIMES]: the channel is confirmed
bind() {
    feed "$1" "bind $2"
    feed_says "$1" 5 "^bound 0x4... ${2//[][]/.}\$" "${3:-1}"
}

# in_order NAME LINE...: these lines come in this order, with others in between
in_order() {
    local name=$1 want at=0 found
    shift
    for want in "$@"; do
        found=$(tail -n +$((at + 1)) "$TMP/$name.log" | grep -nE -m 1 "^$want\$" | cut -d : -f 1 || true)
        [[ -n $found ]] || fail "$name: '$want' does not come after line $at: $(cat "$TMP/$name.log")"
        at=$((at + found))
    done
}

lacks() { # NAME PATTERN
    [[ $(feed_count "$1" "$2") -eq 0 ]] || fail "$1 said '$2': $(cat "$TMP/$1.log")"
}

ns_add c r p
link c r 1
link r p 2
ip -n "$(ns c)" route add default via $AT4
ip -n "$(ns c)" route add default via $AT6
spawn echo p "$(support echo)" serve 7007
eventually 5 udp_listens p 7007 || fail "the echo server does not listen"
find /var/lib/turn /var/log /var/run /run /var/tmp -iname '*turn*' 2>/dev/null | sort -u >"$TMP/before"

say "traffic for long, with nonces of 5 s: begins"
coturn long 3488 --relay-ip=$A4 --stale-nonce=5 --channel-lifetime=20 --permission-lifetime=20
client long -s $SPEED $AT4:3488
feed_says long 5 '^allocated$'
bind long $PEER4
bind long $IDLE4
feed long "send $PEER4 360 100"

say "one falls asleep with a lifetime of 8 s"
coturn short 3498 --relay-ip=$A4 --max-allocate-lifetime=8
client sleeper $AT4:3498
feed_says sleeper 5 '^allocated$'
bind sleeper $PEER4
kill -STOP "${FEED_PID[sleeper]}"
slept=$SECONDS

say "IPv4, reached by both"
coturn one 3478 --relay-ip=$A4 --relay-ip=$A6 --denied-peer-ip=192.0.2.99
client a $AT4:3478 "[$AT6]:3478"
feed_says a 5 '^allocated$'
in_order a '> allocate' '< allocate error 400' '> allocate' '< allocate error 401' '> allocate' '< allocate success lifetime 600 sealed' \
    "candidate relay $A4:[0-9]+" allocated
feed_says a 3 '^candidate srflx \[2001:db8:1::1\]:'
feed_has a '^candidate srflx 192\.0\.1\.1:' 1 || fail "no address of ours"
bind a $PEER4
exchanges a $PEER4 20
lacks a '^candidate relay \['
feed a "bind $PEER6"
feed_says a 3 "^unbindable ${PEER6//[][]/.}\$"
say "  a peer that is forbidden"
feed a "bind 192.0.2.99:1"
feed_says a 3 '^lost 0x4001 192\.0\.2\.99:1$'
in_order a '< channel-bind error 403 sealed' 'lost 0x4001 192\.0\.2\.99:1'
exchanges a $PEER4
say "  the end"
feed a close
feed_says a 3 '^closed$'
in_order a '> refresh delete' '< refresh success lifetime 0 sealed' closed
quit a

say "wrong credentials"
for wrong in "-p wrong" "-u wrong"; do
    # shellcheck disable=SC2086
    client a $wrong $AT4:3478
    feed_says a 5 '^failed: authentication error$'
    in_order a '< allocate error 401' '> allocate' '< allocate error 401' 'failed: .*'
    [[ $(feed_count a '^> allocate$') -eq 3 ]] || fail "it goes on asking: $(cat "$TMP/a.log")"
    quit a
done

say "another socket: 437"
client a $AT4:3478
feed_says a 5 '^allocated$'
bind a $PEER4
exchanges a $PEER4
feed a lose
feed a refresh
feed_says a 5 '^allocated$' 2
in_order a bound.\* '> refresh' '< refresh error 437 sealed' '> allocate' deallocated '< allocate success .* sealed' allocated
bind a $PEER4 2
exchanges a $PEER4
say "the same socket, an earlier life: 437"
quit a
client a -P 5000 $AT4:3478
feed_says a 5 '^allocated$'
kill -KILL "${FEED_PID[a]}"
wait "${FEED_PID[a]}" 2>/dev/null || true
client a -P 5000 $AT4:3478
feed_says a 12 '^allocated$'
in_order a '< allocate error 437' '> allocate' '> refresh delete' '< refresh success lifetime 0 sealed' '> allocate' \
    '< allocate success .* sealed' allocated
lacks a '^failed'
bind a $PEER4
exchanges a $PEER4
say "coturn starts anew: 437"
coturn_end one
coturn one 3478 --relay-ip=$A4
feed a refresh
feed_says a 5 '^allocated$' 2
in_order a bound.\* '> refresh' '< refresh error 438' '> refresh' '< refresh error 437 sealed' '> allocate' deallocated allocated
bind a $PEER4 2
exchanges a $PEER4
say "the same, but it is a channel that finds out: 400 of coturn, and only then 437"
coturn_end one
coturn one 3478 --relay-ip=$A4
feed a "bind $IDLE4"
feed_says a 5 '^allocated$' 3
in_order a '< channel-bind error 438' '< channel-bind error 400 sealed' '> refresh' "lost 0x4001 $IDLE4" '< refresh error 437 sealed' \
    deallocated '> allocate' '< allocate success .* sealed' allocated
bind a $IDLE4
quit a
coturn_end one

say "IPv6 by IPv6"
coturn one 3478 --relay-ip=$A6 --allocation-default-address-family=keep
client a "[$AT6]:3478"
feed_says a 5 '^allocated$'
in_order a "candidate relay \[$A6\]:[0-9]+" allocated
bind a "$PEER6"
exchanges a "$PEER6" 20
quit a
say "no address of the default family: 440"
client a $AT4:3478
feed_says a 5 '^state refused by the relay$'
in_order a '< allocate error 440 sealed' 'state refused by the relay'
feed a "bind $PEER4"
feed_says a 3 "^unbindable $PEER4\$"
quit a
coturn_end one

say "one allocation a user: 486; IPv6 by IPv4"
coturn one 3478 --relay-ip=$A6 --allocation-default-address-family=ipv6 --user-quota=1
client a $AT4:3478
feed_says a 5 '^allocated$'
client b $AT4:3478
feed_says b 5 '^state refused by the relay$'
in_order b '< allocate error 486 sealed' 'state refused by the relay'
feed a close
feed_says a 3 '^closed$'
quit a
for ((tries = 2; tries <= 11; tries++)); do # coturn forgets the other one a moment later
    sleep 0.5
    feed b refresh
    feed_says b 5 '^state (refused by the relay|allocated)$' $tries
    ! feed_has b '^allocated$' 1 || break
done
in_order b 'state refused by the relay' "candidate relay \\[$A6\\]:[0-9]+" allocated
bind b "$PEER6"
exchanges b "$PEER6" 20
quit b
coturn_end one

say "it has slept for longer than the lifetime"
[[ $((SECONDS - slept)) -ge 9 ]] || sleep $((9 - SECONDS + slept))
kill -CONT "${FEED_PID[sleeper]}"
feed_says sleeper 5 '^allocated$' 2
in_order sleeper bound.\* '> allocate' deallocated "invalid relay $A4:[0-9]+" '< allocate success lifetime 8 sealed' \
    "candidate relay $A4:[0-9]+" allocated
lacks sleeper '^< refresh error'
bind sleeper $PEER4 2
exchanges sleeper $PEER4
feed_says sleeper 6 '^< refresh success lifetime 600 sealed$' # after half of the 8 s
quit sleeper
coturn_end short

say "both families, at fzrelay"
spawn relay r "$BUILD/fzrelay" --public-ip4 $A4 --public-ip6 $A6 --stamp-secret "a secret" --control "$TMP/relay.sock"
relay=$SPAWNED
eventually 5 grep -qx ready "$TMP/relay.log" || fail "fzrelay does not start: $(cat "$TMP/relay.log")"
credentials=(-u "$(sed -n 's/^username //p' "$TMP/relay.log")" -p "$(sed -n 's/^password //p' "$TMP/relay.log")")
for at in "$A4:3478" "[$A6]:3478"; do
    client a "${credentials[@]}" "$at"
    feed_says a 5 '^allocated$'
    in_order a '< allocate error 401 sealed' "candidate relay $A4:[0-9]+" "candidate relay \\[$A6\\]:[0-9]+" allocated
    for peer in $PEER4 "$PEER6"; do
        bind a "$peer"
        exchanges a "$peer" 20
    done
    quit a
done
say "the same socket, an earlier life, other nonces: an authenticated 437 and 438"
client a -P 5001 "${credentials[@]}" $A4:3478
feed_says a 5 '^allocated$'
kill -KILL "${FEED_PID[a]}"
wait "${FEED_PID[a]}" 2>/dev/null || true
client a -P 5001 "${credentials[@]}" $A4:3478
feed_says a 5 '^allocated$'
in_order a '< allocate error 401 sealed' '< allocate error 437 sealed' '> refresh delete' '< refresh success lifetime 0 sealed' \
    '< allocate success .* sealed' allocated
timeout 5 "$BUILD/fzrelay" ctl --control "$TMP/relay.sock" expire-nonces >/dev/null || fail "fzrelay takes no orders"
bind a $PEER4
in_order a allocated '< channel-bind error 438 sealed' '< channel-bind success sealed'
exchanges a $PEER4
say "the relay loses the allocation, and a channel finds out: 437"
timeout 5 "$BUILD/fzrelay" ctl --control "$TMP/relay.sock" drop all=true >/dev/null || fail "fzrelay takes no orders"
feed a "bind $IDLE4"
feed_says a 5 "^bound 0x4... $IDLE4\$" # the peer has waited for the new allocation
in_order a '< channel-bind error 437 sealed' deallocated '< allocate success .* sealed' '> channel-bind' allocated "bound 0x4... $IDLE4"
quit a
kill -TERM "$relay"
finish "$relay" 5 || fail "fzrelay ended with $?"

say "traffic for long: all came back, the idle channel is lost"
feed_says long 60 "^lost 0x4001 $IDLE4\$"
feed_says long 60 "^data $PEER4 360\$"
lacks long '^(deallocated|failed|invalid|unsent|dropped|lost 0x4000)'
[[ $(feed_count long "^data $PEER4 ") -eq 360 ]] || fail "$(feed_count long "^data $PEER4 ") of 360 came back"
[[ $(feed_count long "^< refresh error 438\$") -ge 2 ]] || fail "no stale nonces: $(grep '^[<>]' "$TMP/long.log")"
for what in refresh channel-bind; do # the latter mostly has the nonce that the former has just got
    [[ $(feed_count long "^< $what success") -ge 2 ]] || fail "no $what: $(grep '^[<>]' "$TMP/long.log")"
done
quit long
coturn_end long
find /var/lib/turn /var/log /var/run /run /var/tmp -iname '*turn*' 2>/dev/null | sort -u | cmp -s - "$TMP/before" || fail "coturn has left files outside"
rig_end
