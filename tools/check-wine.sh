#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command with a Wine prefix of its own, made when missing, and ends the Wine server of that prefix afterwards.
#
#   tools/check-wine.sh PREFIX COMMAND ARGUMENT...
#
# Without Wine the command is not run; that is reported as one skipped test.
set -uo pipefail

export WINEPREFIX=$1 WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES="mscoree,mshtml=" XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$1}
shift
if ! command -v wine >/dev/null; then
    echo "SKIP windows: wine is not installed; the programs compiled but were not run"
    [[ -z ${TOTALS:-} ]] || echo "windows 0 0 1" >>"$TOTALS"
    exit 0
fi
mkdir -p "$WINEPREFIX"
if [[ ! -f $WINEPREFIX/system.reg ]]; then
    timeout 180 wine wineboot --init >"$WINEPREFIX/boot.log" 2>&1 </dev/null || {
        tail -n 5 "$WINEPREFIX/boot.log" >&2
        echo "check-wine: cannot make a prefix in $WINEPREFIX" >&2
        exit 1
    }
fi
server=$(command -v wineserver || ls /usr/lib/wine/wineserver64 /usr/lib/wine/wineserver 2>/dev/null | head -n 1)
if [[ -n $server ]]; then
    # Debian's server ends with its last client, and a client that comes just then is reset: keep one until the end.
    "$server" -k 2>/dev/null
    trap '"$server" -k 2>/dev/null' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$server" -p || echo "check-wine: no lasting Wine server in $WINEPREFIX; each program starts its own" >&2
fi
"$@"
