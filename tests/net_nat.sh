#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The rig of hosts behind routers: what each kind of NAT does to a UDP port, and what changes while it runs.
#
#     [p] == [p_1] ==.            .== [e_1] == [e]     easy
#                    |            |== [f_1] == [f]     easy
#     [q] == [q_1] ==|== [core] ==|== [c_1] == [c]     cone
#                    |            |== [h_1] == [h]     hard, with the same private net as
#     [n] == [n_1] =='            '== [i_1] == [i]     hard
#
#     p, q, n are public; later [e_2] for e, and x and y, which have one family each
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/nat.sh
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/feed.sh
. "$(dirname "$0")/support/feed.sh"
rig_begin 150

PORT=5000 ASKED=7000 OTHER=7001 # of the hosts; of p and q; of p, too
SHORT=0.3 # in seconds: by then all is there that comes
probe=$(support udp_probe)

probe_start() { # NAME HOST PORT
    feed_start "$1" "$2" "$probe" "$3" -e
    feed_says "$1" 5 '^ready$'
}

# seen NAME ADDRESS [PORT]: "ADDRESS PORT" as which the one at ADDRESS sees the probe NAME
seen() {
    local name=$1 from="from $2 ${3:-$ASKED} seen" before
    before=$(feed_count "$name" "^$from ")
    feed "$name" "to $2 ${3:-$ASKED} ask"
    feed_says "$name" 3 "^$from " $((before + 1))
    sed -n "s/^$from //p" "$TMP/$name.log" | tail -n 1
}

# unseen NAME ADDRESS: there is no answer
unseen() {
    local name=$1 from="from $2 $ASKED seen " before
    before=$(feed_count "$name" "^$from")
    feed "$name" "to $2 $ASKED ask"
    sleep "$SHORT"
    [[ $(feed_count "$name" "^$from") -eq $before ]] || fail "$2 answers $name"
}

# arrives NAME FROM TEXT: the probe NAME gets TEXT from FROM, "ADDRESS PORT"; all may be regular expressions
arrives() {
    feed_says "$1" 3 "^from $2 $3\$"
}

# absent NAME TEXT: it does not, from anybody; after a moment in which it would
absent() {
    ! feed_has "$1" "^from .* $2\$" 1 || fail "$1 gets $2"
}

pings() { # NS ADDRESS
    in_ns "$1" ping -n -q -c 1 -W 0.5 "$2" >/dev/null
}

is_seen() { # NAME ADDRESS AS
    local got
    got=$(seen "$1" "$2")
    [[ $got == "$3" ]] || fail "$1 is seen at $2 as '$got', not as '$3'"
}

say "hosts"
nat_begin
for host in p q n; do
    nat_host $host none
done
nat_host e easy mtu=1400 lan_mtu=1450
nat_host f easy
nat_host c cone
nat_host h hard lan=10
nat_host i hard lan=10
[[ ${NAT_ADDR4[h]} == "${NAT_ADDR4[i]}" && ${NAT_OUTER4[h]} != "${NAT_OUTER4[i]}" ]] || fail "the same private net"
P4=${NAT_ADDR4[p]} P6=${NAT_ADDR6[p]} Q4=${NAT_ADDR4[q]} Q6=${NAT_ADDR6[q]}
probe_start p p $ASKED
probe_start other p $OTHER
probe_start q q $ASKED
for host in n e f c h i; do
    probe_start $host $host $PORT
done

# kind HOST: what its router does
kind() {
    local host=$1 kind=${NAT_KIND[$1]} map other far it
    local outer=${NAT_OUTER4[$1]}
    map=$(seen "$host" "$P4")
    [[ ${map% *} == "$outer" ]] || fail "$kind: seen as '$map', not from $outer"

    # Filtering: what comes to the mapping from who was asked, from another port of it, from another host.
    feed other "to $map port"
    feed q "to $map host"
    feed p "to $map known"
    arrives "$host" "$P4 $ASKED" known
    case $kind in
    none | cone)
        arrives "$host" "$P4 $OTHER" port
        arrives "$host" "$Q4 $ASKED" host
        ;;
    *)
        sleep "$SHORT"
        absent "$host" port
        absent "$host" host
        ;;
    esac

    # Mapping: the same for all destinations, or never the same. Two random ports may be equal, three are not.
    other=$(seen "$host" "$P4" $OTHER)
    far=$(seen "$host" "$Q4")
    for it in "$other" "$far"; do
        [[ ${it% *} == "$outer" ]] || fail "$kind: seen as '$it', not from $outer"
    done
    case $kind in
    hard) [[ $map != "$other" || $other != "$far" ]] ;;
    *) [[ $map == "$outer $PORT" && $other == "$map" && $far == "$map" ]] ;;
    esac || fail "$kind: mappings $map, $other, $far"
    say "  $kind: $map, $other, $far"

    # IPv6 is not translated, and open.
    is_seen "$host" "$P6" "${NAT_ADDR6[$host]} $PORT"
    feed q "to ${NAT_ADDR6[$host]} $PORT six"
    arrives "$host" "$Q6 $ASKED" six
    # What is private has no route.
    [[ $kind == none ]] || ! pings q "${NAT_ADDR4[$host]}" || fail "$kind: the private address is reached"
}

say "mapping and filtering"
for host in n e c h; do
    kind $host
done

# punch A B: both send to the mapping that p sees of the other; who got it: "A", "B", "A B" or nothing
punch() {
    local a=$1 b=$2 word to_a to_b got=()
    word=punch-$a-$b-$((++punches))
    to_a=$(seen "$a" "$P4") to_b=$(seen "$b" "$P4")
    for _ in {1..5}; do
        feed "$a" "to $to_b $word"
        feed "$b" "to $to_a $word"
        sleep 0.05
    done
    sleep "$SHORT"
    ! feed_has "$a" "^from .* $word\$" 1 || got+=("$a")
    ! feed_has "$b" "^from .* $word\$" 1 || got+=("$b")
    punched="${got[*]}"
    say "  punching $a ($to_a) and $b ($to_b): ${punched:-nobody} got something"
}
punches=0

say "punching"
punch e f
[[ $punched == "e f" ]] || fail "two easy NATs"
arrives e "${NAT_OUTER4[f]} $PORT" 'punch-e-f-1' # from the mapping that p saw
punch h i
[[ -z $punched ]] || fail "two hard NATs"
punch e h
[[ -z $punched ]] || fail "an easy and a hard NAT"
punch c h
[[ $punched == c ]] || fail "a hard NAT to a cone"
# What it answers to the source that it sees comes back: the hard side's own mapping is open for it.
arrives h "${NAT_OUTER4[c]} $PORT" "seen ${NAT_OUTER4[h]} [0-9]+"

say "nothing between e and f, but both reach p"
nat_drop e f
punch e f
[[ -z $punched ]] || fail "UDP gets through"
feed e "to ${NAT_ADDR6[f]} $PORT shut"
sleep "$SHORT"
absent f shut
pings e "${NAT_ADDR6[f]}" || fail "not only UDP is dropped"
is_seen e "$P6" "${NAT_ADDR6[e]} $PORT"
nat_drop e h
nat_undrop f e
punch e f
[[ $punched == "e f" ]] || fail "it stays"
feed e "to ${NAT_ADDR6[f]} $PORT open"
arrives f "${NAT_ADDR6[e]} $PORT" open
nat_undrop e h
[[ -z $NAT_DROPS ]] || fail "left of the drops: $NAT_DROPS"

say "port unreachable"
for to in "$P4" "$P6"; do
    nat_reject e "$to" $ASKED
    unseen e "$to"
    feed_says e 3 "^refused $to $ASKED\$"
done
[[ $(seen e "$P4" $OTHER) == "${NAT_OUTER4[e]} $PORT" ]] || fail "another port is rejected, too"
is_seen f "$P4" "${NAT_OUTER4[f]} $PORT"
nat_unreject e
is_seen e "$P4" "${NAT_OUTER4[e]} $PORT"
is_seen e "$P6" "${NAT_ADDR6[e]} $PORT"

say "MTU"
for size in 1400 1280; do
    for to in "$P4" "$P6"; do
        overhead=28
        [[ $to != *:* ]] || overhead=48
        in_ns e ping -n -c 2 -i 0.1 -W 1 -M 'do' -s $((size - overhead)) "$to" >/dev/null || fail "$size bytes to $to do not fit"
        ! in_ns e ping -n -c 2 -i 0.1 -W 1 -M 'do' -s $((1401 - overhead)) "$to" >"$TMP/ping" 2>&1 || fail "1401 bytes to $to fit"
        grep -qiE 'mtu *[:=] *1400' "$TMP/ping" || fail "nothing was said of the MTU: $(cat "$TMP/ping")"
    done
done
[[ $(in_ns e cat /sys/class/net/eth1/mtu) -eq 1450 ]] || fail "the MTU of the host's link"

say "swap"
before4=${NAT_OUTER4[e]} before6=${NAT_ADDR6[e]} map=$(seen e "$P4")
nat_reject e "$Q4" $ASKED
nat_swap e
[[ ${NAT_OUTER4[e]} != "$before4" && ${NAT_ADDR6[e]} != "$before6" && ${NAT_AT[e]} -eq 2 ]] || fail "the addresses stay"
is_seen e "$P4" "${NAT_OUTER4[e]} $PORT"
is_seen e "$P6" "${NAT_ADDR6[e]} $PORT"
unseen e "$Q4" # the new router rejects as well
nat_unreject e
feed p "to $map late"
feed p "to $before6 $PORT late"
sleep "$SHORT"
absent e late
[[ $(in_ns e cat /sys/class/net/eth2/mtu) -eq 1450 ]] || fail "the new link has another MTU"
nat_drop e f
punch e f
[[ -z $punched ]] || fail "the drop does not follow the host"
nat_undrop e f
nat_swap e
[[ ${NAT_OUTER4[e]} == "$before4" && ${NAT_ADDR6[e]} == "$before6" ]] || fail "back it has other addresses"
is_seen e "$P6" "$before6 $PORT"
nat_swap n
is_seen n "$Q4" "${NAT_ADDR4[n]} $PORT"

say "other addresses"
for host in n c; do
    before4=${NAT_ADDR4[$host]} before6=${NAT_ADDR6[$host]}
    nat_readdress $host
    [[ ${NAT_ADDR4[$host]} != "$before4" && ${NAT_ADDR6[$host]} != "$before6" ]] || fail "$host: the addresses stay"
    is_seen $host "$Q6" "${NAT_ADDR6[$host]} $PORT"
    map=$(seen $host "$Q4")
    [[ ${map% *} == "${NAT_OUTER4[$host]}" ]] || fail "$host is seen as $map"
    # The port of a translated host may be another one: for a while the old address has it.
    [[ $host == c || $map == "${NAT_ADDR4[n]} $PORT" ]] || fail "$host is seen as $map"
    ! pings p "$before6" || fail "$host: the old address still answers"
done
probe_start c2 c 5001
feed f "to ${NAT_OUTER4[c]} 5001 moved"
arrives c2 "${NAT_OUTER4[f]} $PORT" moved

say "one family"
nat_host x easy v4
nat_host y hard v6
probe_start x x $PORT
probe_start y y $PORT
[[ -z ${NAT_ADDR6[x]} && -z ${NAT_ADDR4[y]} && -z ${NAT_OUTER4[y]} ]] || fail "addresses of the family that is not there"
is_seen x "$P4" "${NAT_OUTER4[x]} $PORT"
is_seen y "$P6" "${NAT_ADDR6[y]} $PORT"
unseen x "$P6"
unseen y "$P4"
nat_swap x
nat_swap y
is_seen x "$P4" "${NAT_OUTER4[x]} $PORT"
is_seen y "$P6" "${NAT_ADDR6[y]} $PORT"
[[ -z $(ip -n "$(ns x)" -6 address show scope global)$(ip -n "$(ns y)" -4 address show scope global) ]] ||
    fail "addresses of the other family: $(ip -n "$(ns x)" address) $(ip -n "$(ns y)" address)"

say "what is wrong is said"
for wrong in "z soft" "e easy" "Z easy" "z easy v5" "z none lan=9" "z easy mtu=1000"; do
    # shellcheck disable=SC2086
    ! (trap - EXIT ERR TERM && nat_host $wrong) 2>"$TMP/wrong" || fail "'$wrong' is taken"
    grep -q 'FAIL: nat_host: ' "$TMP/wrong" || fail "'$wrong': $(cat "$TMP/wrong")"
done
! (trap - EXIT ERR TERM && nat_load core <<<'chain forward { no such rule }') 2>"$TMP/wrong" || fail "a rule that nftables does not know is taken"
grep -q 'FAIL: nftables does not do here what core needs: ' "$TMP/wrong" || fail "$(cat "$TMP/wrong")"

for name in "${!FEED_FD[@]}"; do
    feed "$name" quit
    feed_end "$name" || fail "the probe $name ended with $?: $(tail -n 3 "$TMP/$name.log")"
done
rig_end
