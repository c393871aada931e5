#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first part of `make demo` (as root): the development portal and the client in two network namespaces. The client
# signs in, lists its resources, hears of a new one, and keeps its tunnel while the portal is away. Takes some seconds and
# leaves nothing behind, also when interrupted.
#
#     [c] ===== [p]     firezone-headless-client, fzportal
#
# shellcheck source=tests/support/netns.sh disable=SC1091
. "$(dirname "$0")/../tests/support/netns.sh"
# shellcheck source=tests/support/portal.sh disable=SC1091
. "$(dirname "$0")/../tests/support/portal.sh"
skip() { fail "$@"; }

shown=0
# What the client has logged since the last time.
show() {
    local lines
    lines=$(tail -n "+$((shown + 1))" "$TMP/laptop.log")
    [[ -z $lines ]] || sed 's/^/    /' <<<"$lines"
    shown=$(wc -l <"$TMP/laptop.log")
}

rig_begin 60
require_impl ours
ns_add c p
link c p 1
cp "$ROOT/tools/fzportal/example.ini" "$TMP/portal.ini"
say "fzportal --config tools/fzportal/example.ini"
portal_start p --listen 192.0.1.2:8081
sed 's/^/    /' "$TMP/portal.log" | grep -v '/tmp/'
say "FIREZONE_API_URL=ws://192.0.1.2:8081 FIREZONE_TOKEN=.client-laptop firezone-headless-client"
client_start laptop c FIREZONE_API_URL=ws://192.0.1.2:8081
client_says laptop 10 "is up: "
client_says laptop 2 "our addresses are"
show
say "fzportal ctl resource_change name=Git address='*.git.example'"
ctl resource_change name=Git address='*.git.example' >/dev/null
say "fzportal ctl resource_remove name=Lab"
ctl resource_remove name=Lab >/dev/null
client_says laptop 5 "no longer ours"
show
say "fzportal ctl stop: the portal is away, the tunnel stays; then start"
ctl stop >/dev/null
client_says laptop 5 "hiccup"
ip -n "$(ns c)" -br address show dev "$(tun laptop)" | sed 's/^/    /'
ctl start >/dev/null
client_says laptop 10 "signed in" 2
client_says laptop 5 "init received" 2
show
client_end laptop 0
kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end >"$TMP/end" || { cat "$TMP/end" && exit 1; }
say "done, nothing is left behind"
