#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Each header compiles alone, twice in a row, without a warning, and has the guard its path suggests to be unique.
#
#   tools/check-headers.sh 'COMPILER FLAGS' HEADER...
set -uo pipefail

compiler=$1
shift
bad=0
for header in "$@"; do
    # shellcheck disable=SC2086 # the compiler is a command line
    if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        $compiler -Werror -fsyntax-only -x c -; then
        echo "check-headers: $header does not compile alone" >&2
        bad=1
    fi
done
twice=$(sed -nE 's/^#ifndef (FZ_[A-Z0-9_]+_H)$/\1/p' "$@" /dev/null | sort | uniq -d)
if [[ -n $twice ]]; then
    echo "check-headers: guard used by two headers: $twice" >&2
    bad=1
fi
[[ $bad -ne 0 ]] || echo "$# headers compile alone"
exit $bad
