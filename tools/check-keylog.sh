#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Proves that a binary has no key log: no symbol and no string of it contains "keylog". The TLS library has two functions of
# that name in a file that is needed for others; nothing may refer to them.
#
#   tools/check-keylog.sh SHIPPED KEYLOG
#
# KEYLOG is the same program built with FZ_KEYLOG: there the search must find something, or it would prove nothing.
set -euo pipefail

readonly LIBRARY='SSL_CTX_[gs]et_keylog_callback'

matches() { # BINARY
    {
        { nm -a "$1" 2>/dev/null || true; strings -a "$1"; } | grep -vwE "$LIBRARY"
        objdump -d --no-show-raw-insn "$1" 2>/dev/null | grep -E "^ .*<$LIBRARY>"
    } | grep -iE 'key_?log' || true
}

shipped=$1 keylog=$2
if [[ ! -f $shipped || ! -f $keylog ]]; then
    echo "check-keylog: $shipped or $keylog is not built" >&2
    exit 1
fi
found=$(matches "$shipped" | sort -u | head -n 10)
if [[ -n $found ]]; then
    echo "check-keylog: $shipped contains:" >&2
    echo "$found" >&2
    exit 1
fi
if [[ -z $(matches "$keylog" | head -n 1) ]]; then
    echo "check-keylog: nothing found in $keylog either, so the search proves nothing" >&2
    exit 1
fi
echo "no key log in $shipped"
