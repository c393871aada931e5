#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What only time shows, with several clients side by side: a portal that answers no heartbeats, one whose connection is
# half open, one that cannot be reached at first; and how little an idle client does and holds.
#
#     [nowhere] [silent] [frozen] [idle] ===== [p]     clients, portal
#
# timeout: 150
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh
. "$(dirname "$0")/support/portal.sh"
rig_begin 140

require_impl ours
IDLE_S=62
RESOURCES=1000
names=(nowhere silent frozen idle) # each has a network of its own
ns_add p "${names[@]}"
declare -A portal=()
for name in "${names[@]}"; do
    net=$((${#portal[@]} + 1))
    link "$name" p "$net"
    portal[$name]=ws://192.0.$net.2
done

{
    printf '[portal]\nconnect_limit = no\n[account acme]\n[site Frankfurt]\n'
    for name in "${names[@]:1}"; do
        printf '[client-token %s]\ntoken = .client-%s\n' "$name" "$name"
    done
    for ((i = 0; i < RESOURCES; i++)); do
        printf '[resource R%s]\ntype = dns\naddress = *.r%s.corp.example\nfilters = tcp/443, icmp\nsite = Frankfurt\n' "$i" "$i"
    done
} | portal_config
portal_start p --listen 0.0.0.0:8081

begin=$SECONDS
client_start nowhere nowhere FIREZONE_API_URL="${portal[nowhere]}:8099"
for name in "${names[@]:1}"; do
    client_start "$name" "$name" FIREZONE_API_URL="${portal[$name]}:8081" -- --log-level info,portal=debug
    client_says "$name" 5 "is up: "
    client_says "$name" 1 "init received: $RESOURCES resources, 0 relays"
    client_says "$name" 1 "and $((RESOURCES - 50)) more"
done
sleep 1
ctl silence token=silent >/dev/null
ctl freeze token=frozen >/dev/null

# The control thread is the process's first; a wait that something ends is a voluntary switch.
waits() {
    sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/${CLIENT_PID[idle]}/task/${CLIENT_PID[idle]}/status"
}
control_ticks() {
    local stat
    stat=$(cat "/proc/${CLIENT_PID[idle]}/task/${CLIENT_PID[idle]}/stat")
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    echo $((${12} + ${13}))
}
waits=$(waits) all_ticks=$(process_ticks "${CLIENT_PID[idle]}") ticks=$(control_ticks)

say "not there at the first start: over after 15 s of trying"
client_end nowhere 1 25
[[ $((SECONDS - begin)) -ge 14 ]] || fail "gave up after $((SECONDS - begin)) s"
grep -q 'refused' <(tail -n 1 "$TMP/nowhere.log") || fail "the last line does not say why: $(tail -n 1 "$TMP/nowhere.log")"

say "no answer to heartbeats, and a half-open connection: both are noticed"
client_says silent 50 "hiccup: "
client_says silent 5 "signed in" 2
client_says frozen 20 "hiccup: "
client_says frozen 5 "signed in" 2
[[ $(client_has silent 'hiccup: ' 2 && echo more) != more ]] || fail "more than one hiccup: $(cat "$TMP/silent.log")"
for name in silent frozen; do
    ip -n "$(ns "$name")" link show "$(tun "$name")" >/dev/null || fail "the tunnel of '$name' went with the portal"
done

say "idle for $IDLE_S s"
while [[ $((SECONDS - begin)) -lt $((IDLE_S + 4)) ]]; do
    sleep 0.5
done
waits=$(($(waits) - waits)) ticks=$(($(control_ticks) - ticks)) all_ticks=$(($(process_ticks "${CLIENT_PID[idle]}") - all_ticks))
rss=$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/${CLIENT_PID[idle]}/status")
say "control thread: $waits waits, $ticks ticks (of 10 ms); all threads: $all_ticks ticks; RSS $((rss / 1024)) MiB with $RESOURCES resources"
# Per heartbeat one wait for its time and one for the answer; libwebsockets looks after itself now and then.
[[ $waits -le 20 ]] || fail "woken up $waits times in $IDLE_S s"
[[ $ticks -le 6 ]] || fail "the control thread used $ticks ticks in $IDLE_S s"
[[ $rss -lt 40960 || $CLIENT == *asan* ]] || fail "RSS is $rss kB"

client_end idle 0
client_end silent 0
client_end frozen 0
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end
