#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The regression gate: what the engine does for a packet in this tree, compared with the commit before it. Counts only can
# fail it (what fzbench diff says: instructions per packet +2 %, sends or writes per MiB +10 %, anything allocated; system
# calls of whole tunnels per MiB +10 %); times are in the tables, too, and fail nothing.
#
#   BENCH_BASE   the commit to compare with, if not HEAD^, or HEAD where something is not committed
#   BUILD, DEPS  as in the Makefile; both trees use the same DEPS
#
# The base is built outside of this tree, with the dependencies of this one: they are no part of the comparison. Where
# nothing can be compared, the reason is printed and the gate passes as skipped. Leaves nothing behind but the usual build.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

readonly MAKE=${MAKE:-make}
BUILD=$(mkdir -p "${BUILD:-build}" && cd "${BUILD:-build}" && pwd) || exit 2
DEPS=$(mkdir -p "${DEPS:-$BUILD/deps}" && cd "${DEPS:-$BUILD/deps}" && pwd) || exit 2
readonly BUILD DEPS
readonly LIMIT=170 # seconds for any one step: a safeguard, nothing takes as long
readonly CALLS_LIMIT=1.10 # real system calls per MiB, compared with the base
# Long enough for times that mean something; the counts need less.
readonly SHORT=(--workers 1 --rounds 3 --ms 40)

passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)) && echo "PASS bench-gate $*"; }
fail() { failed=$((failed + 1)) && echo "FAIL bench-gate $*"; }
skip() { skipped=$((skipped + 1)) && echo "SKIP bench-gate $*"; }

finish() {
    printf 'bench-gate: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [[ -z ${TOTALS:-} ]] || printf 'bench-gate %d %d %d\n' "$passed" "$failed" "$skipped" >>"$TOTALS"
    exit $((failed > 0))
}

# ---- processes: each in a group of its own, ended with the gate ----

declare -A child=()
scratch=''
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
    trap - EXIT
    trap '' INT TERM HUP
    local group i
    for group in "${child[@]}"; do # timeout leads it, and ends before what its command started
        kill -TERM "$group" 2>/dev/null
        for ((i = 0; i < 50; i++)); do
            kill -0 -- "-$group" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$group" 2>/dev/null
    done
    [[ -z $scratch ]] || rm -rf "$scratch"
}
trap cleanup EXIT
trap 'echo "bench-gate: interrupted" >&2; exit 130' INT TERM HUP

launch() { # NAME COMMAND...: its output goes to NAME.log
    local name=$1
    shift
    # A make that called this wants nothing of the makes below. The option is what bench/callgrind.c gives, which an
    # older base may not.
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u GNUMAKEFLAGS TMPDIR="$scratch" VALGRIND_OPTS=--fair-sched=try \
        timeout --kill-after=5 "$LIMIT" "$@" </dev/null >"$scratch/$name.log" 2>&1 &
    child[$name]=$!
}

await() { # NAME: its exit code
    local status
    wait "${child[$1]}"
    status=$?
    unset "child[$1]"
    return $status
}

problem() { # NAME: the first line of its log that tells of an error, or the last one
    awk 'tolower($0) ~ /error|\*\*\*/ && !found { found = $0 } NF { last = $0 } END { print found ? found : last ? last : "no output" }' \
        "$scratch/$1.log"
}

show_log() { # NAME
    tail -n 25 "$scratch/$1.log" | sed 's/^/    | /'
}

# ---- the two programs ----

build() { # NAME SOURCE BUILD ARGUMENT...
    launch "$1" "$MAKE" --no-print-directory -C "$2" -j"$(nproc)" BUILD="$3" DEPS="$DEPS" CC=gcc MODE=release SAN= KEYLOG= OS=linux \
        "${@:4}" "$3/release/fzbench" "$3/release/firezone-headless-client"
    await "$1"
}

choose_base() { # sets `base`; false: `reason` says why there is none
    reason='not a git repository, or not one that git trusts here'
    git rev-parse --verify -q HEAD >/dev/null 2>&1 || return 1
    base=${BENCH_BASE:-HEAD^}
    [[ -n ${BENCH_BASE:-} || -z $(git status --porcelain 2>/dev/null) ]] || base=HEAD
    reason="there is no commit $base here (is the clone shallow?)"
    base=$(git rev-parse --verify -q --short "$base^{commit}") && return
    [[ -z ${BENCH_BASE:-} ]] || { echo "bench-gate: BENCH_BASE: $reason" >&2 && exit 2; }
    return 1
}

build_base() { # false: `reason` says why there is none
    reason="the files of $base are not here"
    mkdir "$scratch/tree" && git archive "$base" | tar -xf - -C "$scratch/tree" || return 1
    reason="$base has no fzbench pipeline"
    [[ -f $scratch/tree/bench/fzbench.c && -f $scratch/tree/bench/pipeline.c ]] || return 1
    # With its own pins it would rebuild DEPS, and this tree again after it.
    rm -rf "$scratch/tree/tools/deps"
    cp -a tools/deps tools/deps.sh "$scratch/tree/tools/" || return 1
    build build-base "$scratch/tree" "$scratch/build" revision="$base" && return
    reason="$base does not build: $(problem build-base)"
    return 1
}

# ---- measuring ----

measure() { # NAME ARGUMENT...: NAME is "base-..." or "this-..."
    local name=$1 program=$BUILD/release/fzbench
    shift
    [[ $name != base-* ]] || program=$scratch/build/release/fzbench
    launch "$name" "$program" pipeline "$@" --json "$scratch/$name.json"
}

# Looks at what measure left for both, and prints the table.
compare() { # TEST BASE_STATUS THIS_STATUS
    if [[ $3 -ne 0 ]]; then
        fail "$1: this tree cannot be measured"
        show_log "this-$1"
    elif [[ $2 -ne 0 ]]; then
        skip "$1: $base cannot be measured: exit code $2, $(problem "base-$1")"
    elif (cd "$scratch" && "$BUILD/release/fzbench" diff "base-$1.json" "this-$1.json"); then
        pass "$1"
    else
        fail "$1: worse than $base"
    fi
    echo
}

# Sends or writes per MiB, allocations, times; instructions where the CPU counts them. One after the other, close together.
gate_counts() { # DIRECTION
    local -A status
    local tree
    for tree in base this; do
        measure "$tree-$1" --direction "$1" "${SHORT[@]}"
        await "$tree-$1"
        status[$tree]=$?
    done
    compare "$1" "${status[base]}" "${status[this]}"
}

cpu_counts() { # DIRECTION: in what gate_counts measured
    awk '$1 == "machine/cycles_counted" { counted = $2 } END { exit !counted }' "$scratch/this-$1.log"
}

# The same in each run, so both at a time.
gate_instructions() { # DIRECTION
    local name=$1-instructions base_status
    if ! command -v valgrind >/dev/null; then
        skip "$name: this CPU's counters cannot be had, and valgrind is not installed"
        return
    fi
    measure "base-$name" --direction "$1" --callgrind
    measure "this-$name" --direction "$1" --callgrind
    await "base-$name"
    base_status=$?
    await "this-$name"
    compare "$name" "$base_status" $?
}

# Real system calls, of whole tunnels over real devices and sockets, in turns with the base's client. How many packets one
# call carries depends on what the scheduler does, too; noise is not there twice, so a failure is measured again, longer.
gate_net() {
    local rounds ratio test=calls
    if [[ $(id -u) -ne 0 ]]; then
        skip "$test: measuring tunnels needs root"
        return
    fi
    for rounds in 5 9; do
        launch net "$BUILD/release/fzbench" net --only calls --rounds "$rounds" --seconds 1 \
            --client "$BUILD/release/firezone-headless-client" \
            --against-client "$scratch/build/release/firezone-headless-client"
        if ! await net; then
            fail "$test: cannot be measured"
            show_log net
            return
        fi
        grep -E '^name|/calls' "$scratch/net.log"
        ratio=$(awk '$1 ~ /\/calls\/system\/.*ratio-baseline/ { print $2 }' "$scratch/net.log" | sort -g | tail -n 1)
        [[ -n $ratio ]] || { fail "$test: fzbench net printed no ratio" && return; }
        if awk -v ratio="$ratio" -v limit="$CALLS_LIMIT" 'BEGIN { exit !(ratio <= limit) }'; then
            pass "$test: $ratio times those of $base"
            return
        fi
    done
    fail "$test: $ratio times those of $base, at most $CALLS_LIMIT is allowed"
}

# ---- all ----

base='' reason=''
if ! choose_base; then
    skip "all: $reason"
    finish
fi
echo "comparing with $(git log -1 --format='%h (%s)' "$base")"
scratch=$(mktemp -d "$BUILD/bench-gate.XXXXXX") || exit 2
if ! build build-this . "$BUILD"; then
    fail "all: fzbench does not build"
    show_log build-this
    finish
fi
if ! build_base; then
    skip "all: $reason"
    finish
fi
for direction in egress ingress; do
    gate_counts "$direction"
    cpu_counts "$direction" || gate_instructions "$direction"
done
gate_net
finish
