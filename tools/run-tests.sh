#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs tests one after the other and prints one line for each.
#
#   tools/run-tests.sh [-s SUITE] [-t SECONDS] [-l LOGFOLDER] [COMMAND]...
#
# A COMMAND is one shell command line; the name of the test is the last part of its first word that looks like a test.
# Exit code 0 is PASS, 77 is SKIP (the last line of output is the reason), all else is FAIL (the end of the log is shown).
# A test that takes longer than SECONDS (default 300; for one that states more, a line "# timeout: N" among the first 30
# of a script) is ended with SIGTERM, 10 s later with SIGKILL, together with the process group it was started in.
# With TOTALS set to a file, appends "SUITE passed failed skipped" to it. Exit code: 1 if any test failed.
set -uo pipefail

suite=tests seconds=300 logs=${BUILD:-build}/log
while getopts s:t:l: option; do
    case $option in
    s) suite=$OPTARG ;;
    t) seconds=$OPTARG ;;
    l) logs=$OPTARG ;;
    *) echo "usage: run-tests.sh [-s SUITE] [-t SECONDS] [-l LOGFOLDER] [COMMAND]..." >&2 && exit 2 ;;
    esac
done
shift $((OPTIND - 1))
mkdir -p "$logs" || exit 2

child=
stop() {
    trap - INT TERM
    [[ -z $child ]] || kill -TERM "$child" 2>/dev/null
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

passed=0 failed=0 skipped=0
for command in "$@"; do
    command=${command#"${command%%[![:space:]]*}"}
    name=$(test_name "$command")
    log=$logs/$suite-$name.log
    limit=$(own_timeout "$command")
    start=$(date +%s%N)
    # timeout puts the test into a process group of its own and signals all of it
    timeout --kill-after=10 "$limit" bash -c "$command" </dev/null >"$log" 2>&1 &
    child=$!
    wait "$child"
    status=$?
    child=
    took=$(awk -v ns=$(($(date +%s%N) - start)) 'BEGIN { printf "%.1f s", ns / 1e9 }')
    case $status in
    0)
        passed=$((passed + 1))
        printf 'PASS %s %s (%s)\n' "$suite" "$name" "$took"
        while read -r case; do # what cmocka left out inside of it
            skipped=$((skipped + 1))
            printf 'SKIP %s %s %s: %s\n' "$suite" "$name" "$case" "$(skip_reason "$case" "$log")"
        done < <(sed -nE 's/^\[ *SKIPPED *\] ([A-Za-z0-9_]+)\r?$/\1/p' "$log" | sort -u)
        ;;
    77)
        skipped=$((skipped + 1))
        printf 'SKIP %s %s: %s\n' "$suite" "$name" "$(tail -n 1 "$log")"
        ;;
    *)
        failed=$((failed + 1))
        reason="exit code $status"
        [[ $status -ne 124 && $status -ne 137 ]] || reason="not finished after $limit s"
        [[ $status -le 128 || $status -eq 137 ]] || reason="signal $(kill -l $((status - 128)))"
        said=$(grep -aE 'FAIL: |ERROR: |panic|\[  FAILED  \] [a-z]' "$log" | tail -n 1 | cut -c 1-300)
        printf 'FAIL %s %s: %s (%s)%s; the end of %s:\n' "$suite" "$name" "$reason" "$took" "${said:+: $said}" "$log"
        tail -n 40 "$log" | sed 's/^/    | /'
        ;;
    esac
done

printf '%s: %d passed, %d failed, %d skipped\n' "$suite" "$passed" "$failed" "$skipped"
[[ -z ${TOTALS:-} ]] || printf '%s %d %d %d\n' "$suite" "$passed" "$failed" "$skipped" >>"$TOTALS"
[[ $failed -eq 0 ]]
