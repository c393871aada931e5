#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make check` runs: every kind of check, one after the other, going on after a failure, and one line of totals at
# the end. A step that runs many tests reports them through tools/run-tests.sh; any other counts as one.
#
#   CHECK_STEPS   the steps, if not all of them
#   CHECK_MATRIX  if not empty, the unit tests also in the other combinations of compiler and mode
#   CHECK_MORE    further steps, at the end
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

readonly MAKE=${MAKE:-make}
readonly STEPS=${CHECK_STEPS:-all format-check layers headers pure keylog-check unit unit-asan unit-tsan secrets fuzz windows-check net}
export TOTALS=${BUILD:?}/check-totals
mkdir -p "$BUILD" && : >"$TOTALS" || exit 2
trap 'echo "check: interrupted" >&2; exit 130' INT TERM

failures() { awk '{ n += $3 } END { print n + 0 }' "$TOTALS"; }

step() { # NAME MAKE_ARGUMENT...
    local name=$1 lines failures start=$SECONDS status
    shift
    echo "==== $name"
    lines=$(wc -l <"$TOTALS")
    failures=$(failures)
    "$MAKE" --no-print-directory -j"$(nproc)" "$@"
    status=$?
    if [[ $status -ne 0 && $(failures) -eq $failures ]]; then
        echo "FAIL $name: make $* ended with $status"
        echo "$name 0 1 0" >>"$TOTALS"
    elif [[ $status -eq 0 && $(wc -l <"$TOTALS") -eq $lines ]]; then
        echo "PASS $name"
        echo "$name 1 0 0" >>"$TOTALS"
    fi
    echo "---- $name took $((SECONDS - start)) s"
}

for name in $STEPS; do
    step "$name" "$name"
done
if [[ -n ${CHECK_MATRIX:-} ]]; then # simulations have gone through the same scenarios before
    step gcc-debug CC=gcc MODE=debug SIM_SECONDS=4 programs support unit
    step clang-release CC="$CLANG" MODE=release SIM_SECONDS=4 programs support unit
    step clang-debug CC="$CLANG" MODE=debug SIM_SECONDS=4 programs support unit
fi
for name in ${CHECK_MORE:-}; do
    step "$name" "$name"
done

echo "==== totals"
awk '{ printf "%-24s %4d passed %4d failed %4d skipped\n", $1, $2, $3, $4 }' "$TOTALS"
awk '{ p += $2; f += $3; s += $4 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }' "$TOTALS"
