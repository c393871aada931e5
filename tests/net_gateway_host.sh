#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a gateway changes of its host, and that the host is as before when it has ended, been killed and started again, or failed.
#
#     [g] ===== [p]     gateway, portal.test
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh
. "$(dirname "$0")/support/portal.sh"
rig_begin 60
need nft unshare

require_impl ours
ns_add g p
link g p 1
printf '127.0.0.1 localhost\n192.0.1.2 portal.test\n' >"$TMP/hosts"
portal_config <<'INI'
[portal]
connect_limit = no
[account acme]
[gateway-token berlin]
token = .gateway-berlin
site = Berlin
[site Berlin]
INI
portal_start p --listen 0.0.0.0:8081
api=FIREZONE_API_URL=ws://portal.test:8081

setting() { # PATH
    in_ns g cat "/proc/sys/net/$1"
}
host_state() {
    in_ns g sh -c 'nft list ruleset; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip -o address
        cd /proc/sys/net && grep -r . ipv4/conf ipv6/conf ipv4/ip_forward 2>/dev/null | grep -v stable_secret | sort' |
        sed -E 's/ (expires|valid_lft|preferred_lft) [^ ]*//g'
}
unchanged() {
    host_state >"$TMP/after"
    diff "$TMP/before" "$TMP/after" >"$TMP/diff" || fail "the host is not as before: $(head -n 20 "$TMP/diff")"
}
start() { # as gateway_start, with a log of its own
    : >"$TMP/berlin.log"
    gateway_start berlin g "$@"
}
start_and_forward() {
    start "$api"
    client_says berlin 5 "is up: "
    client_says berlin 2 "switched on net.ipv6.conf.all.forwarding"
}
kill_it() {
    kill -KILL "${CLIENT_PID[berlin]}"
    finish "${CLIENT_PID[berlin]}" 5 || true
    unset 'CLIENT_PID[berlin]'
}
ruleset() {
    in_ns g nft list ruleset
}

# As container engines leave it: others' packets are dropped.
in_ns g sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'
in_ns g nft -f - <<'NFT'
table ip filter {
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        ip daddr 198.51.100.7 drop
    }
}
NFT
host_state >"$TMP/before"

say "a gateway's host forwards"
start_and_forward
[[ $(setting ipv4/ip_forward) == 1 && $(setting ipv6/conf/all/forwarding) == 1 ]] || fail "forwarding is off"
for rule in "iifname \"$(tun berlin)\" ip saddr 100.64.0.0/11 masquerade" \
    "iifname \"$(tun berlin)\" ip6 saddr fd00:2021:1111::/107 masquerade" \
    "oifname \"$(tun berlin)\" counter"; do
    [[ $(ruleset) == *"$rule"* ]] || fail "there is no '$rule': $(ruleset)"
done
[[ $(in_ns g ip route get 100.95.255.254) == *"dev $(tun berlin)"* ]] || fail "clients are not behind the tunnel"

say "its DNS service is on its addresses in the tunnel, and hears only what comes out of it"
listening() { # uln or tln
    in_ns g ss -H"$1" "sport = :53535" | awk '{ print $4 }' | sort
}
in_ns g ip -o address show dev "$(tun berlin)" scope global | awk -v "tun=$(tun berlin)" '{
    sub("/.*", "", $4)
    print ($3 == "inet6" ? "[" $4 "]" : $4) "%" tun ":53535" }' | sort >"$TMP/expected"
for kind in uln tln; do
    listening "$kind" >"$TMP/listening"
    diff "$TMP/expected" "$TMP/listening" >"$TMP/diff" || fail "ss -$kind: $(cat "$TMP/diff")"
done

say "a firewall that is loaded anew, and SIGHUP"
in_ns g nft flush chain ip filter FORWARD
in_ns g nft add rule ip filter FORWARD ip daddr 198.51.100.7 drop
kill -HUP "${CLIENT_PID[berlin]}"
accepted() {
    [[ $(ruleset) == *'comment "firezone-gateway'* ]]
}
eventually 3 accepted || fail "the rules do not come back: $(ruleset)"

say "SIGTERM: the host is as before"
client_end berlin 0
unchanged

say "SIGKILL, and the next one"
start_and_forward
kill_it
[[ $(ruleset) != *masquerade* ]] || fail "the tables have not gone with the process: $(ruleset)"
[[ $(setting ipv4/ip_forward) == 1 ]] || fail "there is nothing to undo"
start_and_forward
client_says berlin 1 "settings of the kernel are as before"
[[ $(ruleset | grep -c 'comment "firezone-gateway') -eq 2 ]] || fail "rules are there twice: $(ruleset)"
client_end berlin 0
unchanged

say "killed, and the next one never comes up: the host is as before"
start_and_forward
kill_it
start FIREZONE_API_URL=ws://portal.test:9
client_says berlin 5 "hiccup"
[[ $(setting ipv4/ip_forward) == 0 && $(setting ipv6/conf/all/forwarding) == 0 ]] || fail "the host still forwards"
client_end berlin 0

say "--no-forwarding: nothing is changed"
in_ns g nft flush chain ip filter FORWARD
in_ns g nft add rule ip filter FORWARD ip daddr 198.51.100.7 drop
ruleset >"$TMP/rules"
start "$api" -- --no-forwarding
client_says berlin 5 "is up: "
[[ $(setting ipv4/ip_forward) == 0 && $(ruleset) == "$(cat "$TMP/rules")" ]] || fail "something is changed: $(ruleset)"
client_end berlin 0
unchanged

say "settings that cannot be written: one sentence, 1"
CLIENT_MOUNTS='mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys' start "$api"
client_end berlin 1
client_says berlin 1 "net.ipv4.ip_forward is off and cannot be switched on"
client_says berlin 1 "; --no-forwarding leaves that to others"
unchanged

kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end
