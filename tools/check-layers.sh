#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The include table: nothing includes what lies above it, and systems differ inside platform/ only.
# TABLE lines are "files that include : what they may include", as anchored extended regular expressions; the first line
# whose left side matches a file holds for it.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

TABLE='
platform/base/.*     : platform/base/.*
platform/linux/.*    : platform/base/.*|platform/[^/]*|platform/linux/.*
platform/windows/.*  : platform/base/.*|platform/[^/]*|platform/windows/.*
platform/sim/.*      : platform/base/.*|platform/[^/]*|platform/sim/.*
platform/[^/]*       : platform/base/.*|platform/[^/]*
engine/wire/.*       : platform/base/.*|engine/wire/.*
engine/.*            : platform/base/.*|platform/[^/]*|engine/.*
control/.*           : platform/base/.*|platform/[^/]*|control/.*|engine/(engine|checksum|client|grants|filter|icmp|command|event|counters|crypt)\.h|engine/wire/.*
(tests|bench|tools)/.* : .*
'

bad=0 checked=0
complain() {
    echo "check-layers: $*" >&2
    bad=1
}

may_include() { # FILE: prints the right side of its line
    local left right
    while IFS=: read -r left right; do
        left=${left//[[:space:]]/} right=${right//[[:space:]]/}
        if [[ -n $left && $1 =~ ^($left)$ ]]; then
            echo "$right"
            return
        fi
    done <<<"$TABLE"
    echo nothing
}

shopt -s nullglob
for file in {platform,engine,control,tests,bench,tools}/{,*/,*/*/}*.[ch]; do
    checked=$((checked + 1))
    allowed=$(may_include "$file")
    while IFS=: read -r line included; do
        if [[ $included != */* ]]; then
            complain "$file:$line: \"$included\" is not a path from the root"
        elif [[ ! $included =~ ^($allowed)$ ]]; then
            complain "$file:$line: must not include \"$included\""
        fi
    done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/;t print;b;:print;=;p' "$file" | paste -d: - -)
    case $file in
    platform/*) ;;
    tests/*) ;; # a test may leave out what a system lacks
    *)
        if grep -nE '^[[:space:]]*#.*\b(_WIN32|_WIN64|__linux__|__APPLE__|__ANDROID__|__MINGW32__)\b' "$file" >&2; then
            complain "$file: tests for the operating system outside platform/"
        fi
        ;;
    esac
    case $file in
    platform/* | tests/*) ;;
    *)
        if grep -niE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<(windows|winsock2|ws2tcpip|iphlpapi)\.h>' "$file" >&2; then
            complain "$file: Windows headers outside platform/"
        fi
        ;;
    esac
done
[[ $bad -ne 0 ]] || echo "$checked files keep to their layers"
exit $bad
