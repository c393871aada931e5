#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The program fzportal from outside: what it prints, how it ends, what it says when it cannot start, and `fzportal ctl`.
# timeout: 60
set -euo pipefail
export LC_ALL=C
umask 077

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$ROOT/build}
FZPORTAL=${FZ_PORTAL:-$BUILD/fzportal}

fail() {
    echo "net_portal_program: FAIL: $*" >&2
    exit 1
}

TMP=$(mktemp -d "${TMPDIR:-/tmp}/net_portal_program.XXXXXX")
pid=
cleanup() {
    local status=$?
    trap - EXIT
    [[ -z $pid ]] || { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true
    rm -rf "$TMP"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

printf '[account test]\n[client-token laptop]\ntoken = .one\n[client-token made]\n' >"$TMP/config.ini"
config=(--config "$TMP/config.ini" --control "$TMP/control")

# start ARGUMENT...: until it is ready; sets pid
start() {
    : >"$TMP/out"
    "$FZPORTAL" "${config[@]}" "$@" >"$TMP/out" 2>"$TMP/err" &
    pid=$!
    for _ in {1..100}; do
        [[ $(tail -n 1 "$TMP/out") != ready ]] || return 0
        kill -0 "$pid" 2>/dev/null || fail "ended: $(cat "$TMP/err")"
        sleep 0.05
    done
    fail "not ready after 5 s"
}

stop() { # SIGNAL
    local status=0
    kill "-$1" "$pid"
    wait "$pid" || status=$?
    pid=
    [[ $status -eq 0 ]] || fail "ended with $status after SIG$1"
    [[ ! -e $TMP/control ]] || fail "SIG$1 leaves the control socket behind"
}

# ends STATUS TEXT ARGUMENT...: one line on stderr with that text, nothing on stdout
ends() {
    local status=0 wanted=$1 text=$2
    shift 2
    timeout 10 "$FZPORTAL" "$@" >"$TMP/end.out" 2>"$TMP/end.err" || status=$?
    [[ $status -eq $wanted ]] || fail "$*: status $status, wanted $wanted: $(cat "$TMP/end.err")"
    [[ ! -s $TMP/end.out ]] || fail "$*: stdout: $(cat "$TMP/end.out")"
    [[ $(wc -l <"$TMP/end.err") -eq 1 ]] || fail "$*: not one line: $(cat "$TMP/end.err")"
    grep -qF -- "$text" "$TMP/end.err" || fail "$*: no '$text' in: $(cat "$TMP/end.err")"
}

"$FZPORTAL" --version | grep -qE '^fzportal [0-9]' || fail "--version"
"$FZPORTAL" --help | grep -q -- --listen || fail "--help"
[[ $("$FZPORTAL" --config "$TMP/config.ini" --check) == "the configuration is valid" ]] || fail "--check"
ends 2 "unknown option '--nonsense'" --nonsense
ends 2 "--config FILE is missing" --check
ends 1 "$TMP/missing" --config "$TMP/missing"
ends 1 "nonsense" "${config[@]}" --check --config <(echo '[nonsense]')
ends 1 "cannot use $TMP/config.ini as the certificate" "${config[@]}" --tls-cert "$TMP/config.ini" --tls-key "$TMP/config.ini"
ends 1 "cannot use $TMP/missing as the certificate" "${config[@]}" --check --tls-cert "$TMP/missing" --tls-key "$TMP/missing"

start --listen 127.0.0.1:0 --listen 127.0.0.1:0
mapfile -t urls < <(sed -n 's/^listen //p' "$TMP/out")
[[ ${#urls[@]} -eq 2 && ${urls[0]} =~ ^ws://127\.0\.0\.1:[0-9]+$ && ${urls[0]} != "${urls[1]}" ]] || fail "listens at: ${urls[*]}"
grep -qx "control $TMP/control" "$TMP/out" || fail "no control socket in its output"
grep -qx "token client laptop .one" "$TMP/out" || fail "a stated token is missing: $(cat "$TMP/out")"
made=$(sed -n 's/^token client made //p' "$TMP/out")
[[ ${#made} -ge 16 ]] || fail "a generated token is missing: $(cat "$TMP/out")"
grep -qx "run FIREZONE_API_URL=${urls[0]} FIREZONE_TOKEN=$made firezone-headless-client" "$TMP/out" || fail "no ready-made command line"
[[ $(stat -c %a "$TMP/control") == 600 ]] || fail "the control socket's mode is $(stat -c %a "$TMP/control")"

# A second one cannot have what the first has.
ends 1 "cannot listen on ${urls[0]#ws://}: Address already in use" "${config[@]}" --listen "${urls[0]#ws://}"
ends 1 "$TMP/control is served by another process" "${config[@]}" --listen 127.0.0.1:0

ctl=(ctl --control "$TMP/control")
"$FZPORTAL" "${ctl[@]}" thaw all=true | grep -q '^  "ok": true' || fail "ctl thaw"
[[ $("$FZPORTAL" "${ctl[@]}" --raw thaw all=true) == '{"ok":true,"sessions":0}' ]] || fail "ctl --raw thaw all=true"
"$FZPORTAL" ctl help | grep -q freeze || fail "ctl help"
ends 1 "no such session" "${ctl[@]}" drop all=true
ends 2 "'nonsense' is not KEY=VALUE" "${ctl[@]}" drop nonsense
ends 2 "ctl: a command is missing" "${ctl[@]}"
stop TERM
ends 1 "$TMP/control: nobody listens there" "${ctl[@]}" thaw all=true

# A socket that a crash left behind is no obstacle.
start --listen 127.0.0.1:0
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
[[ -S $TMP/control ]] || fail "no socket to leave behind"
start --listen 127.0.0.1:0
stop INT
echo "net_portal_program: ok"
