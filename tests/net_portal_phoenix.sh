#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The reference client of Phoenix channels, the npm package `phoenix`, works with fzportal over loopback.
# timeout: 90
set -euo pipefail
export LC_ALL=C
umask 077

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$ROOT/build}
DEPS=${DEPS:-$ROOT/build/deps}
FZPORTAL=${FZ_PORTAL:-$BUILD/fzportal}
export NODE_PATH=$DEPS/tools/lib/node_modules

skip() {
    echo "net_portal_phoenix: SKIP: $*"
    exit 77
}

fail() {
    echo "net_portal_phoenix: FAIL: $*" >&2
    exit 1
}

command -v node >/dev/null || skip "node is not installed"
[[ -f $NODE_PATH/phoenix/package.json && -f $NODE_PATH/ws/package.json ]] || skip "tools/deps.sh check has not been run"

TMP=$(mktemp -d "${TMPDIR:-/tmp}/net_portal_phoenix.XXXXXX")
pid=
cleanup() {
    local status=$?
    trap - EXIT
    [[ -z $pid ]] || { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true
    [[ $status -eq 0 ]] || tail -n 30 "$TMP/log" >&2 || true
    rm -rf "$TMP"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

cat >"$TMP/config.ini" <<'CONFIG'
[portal]
connect_limit = no

[account phoenix]

[client-token laptop]
token = .phoenix-client

[site main]

[resource web]
type = dns
address = web.example
site = main

[policy everything]
groups = *
resources = *

[relay one]
ipv4 = 192.0.2.1
stamp_secret = 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
CONFIG

"$FZPORTAL" --config "$TMP/config.ini" --listen 127.0.0.1:0 --control "$TMP/control" >"$TMP/out" 2>"$TMP/log" &
pid=$!
for _ in {1..100}; do
    grep -qx ready "$TMP/out" && break
    kill -0 "$pid" 2>/dev/null || fail "fzportal ended: $(cat "$TMP/log")"
    sleep 0.05
done
url=$(sed -n 's/^listen //p' "$TMP/out")
[[ $url == ws://127.0.0.1:* ]] || fail "no address in its output: $(cat "$TMP/out")"

timeout 60 node "$ROOT/tests/support/phoenix_client.cjs" "$FZPORTAL" "$TMP/control" "$url" .phoenix-client ||
    fail "the client ended with $?"

kill -TERM "$pid"
status=0
wait "$pid" || status=$?
pid=
[[ $status -eq 0 ]] || fail "fzportal ended with $status after SIGTERM"
[[ ! -e $TMP/control ]] || fail "the control socket is left behind"
! grep -E ' (ERROR|WARN) ' "$TMP/log" >&2 || fail "fzportal logged the above"
echo "net_portal_phoenix: ok"
