#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a program with Wine, and once or twice more if Wine could not start it: now and then its client ends with code 1
# before the program has begun, with "recvmsg: Connection reset by peer" or without a word. All programs of ours that fail
# say why.
#
#   tools/wine.sh PROGRAM ARGUMENT...
set -uo pipefail

output=$(mktemp) || exit 2
trap 'rm -f "$output"' EXIT
trap 'exit 143' INT TERM
for try in 1 2 3; do
    wine "$@" >"$output" 2>&1
    status=$?
    if [[ $status -ne 1 || $try -eq 3 ]] || grep -qvE '^(wine client error|it looks like wine32|multiarch needs|apt-get install wine32|[[:space:]]*$)' "$output"; then
        break
    fi
    echo "wine.sh: Wine ended before the program began; trying again" >&2
done
cat "$output"
exit "$status"
