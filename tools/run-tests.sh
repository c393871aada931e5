#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs tests and prints one line for each.
#
#   tools/run-tests.sh [-s SUITE] [-t SECONDS] [-l LOGFOLDER] [-j JOBS] [COMMAND]...
#
# JOBS (1) of them at a time; each line comes when its test has ended.
# A COMMAND is one shell command line; the name of the test is the last part of its first word that looks like a test.
# Exit code 0 is PASS, 77 is SKIP (the last line of output is the reason), all else is FAIL (the end of the log is shown).
# A test that takes longer than SECONDS (default 300; for one that states more, a line "# timeout: N" among the first 30
# of a script) is ended with SIGTERM, 10 s later with SIGKILL, together with the process group it was started in.
# With TOTALS set to a file, appends "SUITE passed failed skipped" to it. Exit code: 1 if any test failed.
set -uo pipefail

suite=tests seconds=300 logs=${BUILD:-build}/log jobs=1
while getopts s:t:l:j: option; do
    case $option in
    s) suite=$OPTARG ;;
    t) seconds=$OPTARG ;;
    l) logs=$OPTARG ;;
    j) jobs=$OPTARG ;;
    *) echo "usage: run-tests.sh [-s SUITE] [-t SECONDS] [-l LOGFOLDER] [-j JOBS] [COMMAND]..." >&2 && exit 2 ;;
    esac
done
shift $((OPTIND - 1))
mkdir -p "$logs" || exit 2

# Each running test has a shell of ours around it, which passes the signal on.
declare -A running=()
stop() {
    trap - INT TERM
    [[ ${#running[@]} -eq 0 ]] || kill -TERM "${!running[@]}" 2>/dev/null
    wait 2>/dev/null
    echo "run-tests: interrupted" >&2
    exit 130
}
trap stop INT TERM

test_name() {
    local word
    for word in $1; do
        if [[ $word =~ (^|/)((unit|diff|fuzz|sim|net)_[a-z0-9_]+)(\.sh|\.exe)?$ ]]; then
            echo "${BASH_REMATCH[2]}"
            return
        fi
    done
    word=${1%% *}
    word=${word##*/}
    echo "${word%.sh}"
}

skip_reason() { # CASE LOG: what the case printed last before it was skipped
    awk -v want="$1" '$0 ~ "^\\[ RUN +\\] " want "\r?$" { inside = 1; next }
        inside && /^\[ *SKIPPED/ { exit }
        inside { last = $0 }
        END { print last == "" ? "no reason given" : last }' "$2"
}

own_timeout() { # COMMAND: what the script states, or the default
    local script=${1%% *} stated=
    [[ $script != *.sh || ! -r $script ]] ||
        stated=$(sed -nE '1,30s/^# timeout: ([0-9]+).*/\1/p' "$script" | head -n 1)
    echo "${stated:-$seconds}"
}

# run_one COMMAND LOG: prints what is to be said about it, and how it went as the last line
run_one() {
    local command=$1 log=$2 name limit start child status took case reason said skipped=0
    name=$(test_name "$command")
    limit=$(own_timeout "$command")
    start=$(date +%s%N)
    # timeout puts the test into a process group of its own and signals all of it
    timeout --kill-after=10 "$limit" bash -c "$command" </dev/null >"$log" 2>&1 &
    child=$!
    trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; exit 130' INT TERM
    wait "$child"
    status=$?
    took=$(awk -v ns=$(($(date +%s%N) - start)) 'BEGIN { printf "%.1f s", ns / 1e9 }')
    case $status in
    0)
        printf 'PASS %s %s (%s)\n' "$suite" "$name" "$took"
        while read -r case; do # what cmocka left out inside of it
            skipped=$((skipped + 1))
            printf 'SKIP %s %s %s: %s\n' "$suite" "$name" "$case" "$(skip_reason "$case" "$log")"
        done < <(sed -nE 's/^\[ *SKIPPED *\] ([A-Za-z0-9_]+)\r?$/\1/p' "$log" | sort -u)
        echo "1 0 $skipped"
        ;;
    77)
        printf 'SKIP %s %s: %s\n' "$suite" "$name" "$(tail -n 1 "$log")"
        echo "0 0 1"
        ;;
    *)
        reason="exit code $status"
        [[ $status -ne 124 && $status -ne 137 ]] || reason="not finished after $limit s"
        [[ $status -le 128 || $status -eq 137 ]] || reason="signal $(kill -l $((status - 128)))"
        said=$(grep -aE 'FAIL: |ERROR: |panic|\[  FAILED  \] [a-z]' "$log" | tail -n 1 | cut -c 1-300)
        printf 'FAIL %s %s: %s (%s)%s; the end of %s:\n' "$suite" "$name" "$reason" "$took" "${said:+: $said}" "$log"
        tail -n 40 "$log" | sed 's/^/    | /'
        echo "0 1 0"
        ;;
    esac
}

passed=0 failed=0 skipped=0
# One of those that run has ended: its lines, and its part of the totals.
collect() {
    local pid said p f k
    wait -n -p pid "${!running[@]}"
    said=${running[$pid]}
    unset "running[$pid]"
    sed '$d' "$said"
    read -r p f k < <(tail -n 1 "$said")
    rm -f "$said"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + k))
}

for command in "$@"; do
    command=${command#"${command%%[![:space:]]*}"}
    name=$suite-$(test_name "$command")
    run_one "$command" "$logs/$name.log" >"$logs/$name.said" &
    running[$!]=$logs/$name.said
    [[ ${#running[@]} -lt $jobs ]] || collect
done
while [[ ${#running[@]} -gt 0 ]]; do
    collect
done

printf '%s: %d passed, %d failed, %d skipped\n' "$suite" "$passed" "$failed" "$skipped"
[[ -z ${TOTALS:-} ]] || printf '%s %d %d %d\n' "$suite" "$passed" "$failed" "$skipped" >>"$TOTALS"
[[ $failed -eq 0 ]]
