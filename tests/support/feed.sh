# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Programs that take commands on their standard input, for the net tests; sourced after netns.sh.

declare -A FEED_FD=() FEED_PID=()

# feed_start NAME NS COMMAND...: output to $TMP/NAME.log, which begins empty
feed_start() {
    local name=$1 fd
    rm -f "$TMP/$name.log" "$TMP/$name.fifo"
    mkfifo "$TMP/$name.fifo"
    exec {fd}<>"$TMP/$name.fifo"
    # shellcheck disable=SC2016
    spawn "$name" "$2" bash -c 'fifo=$1; shift; exec "$@" <"$fifo"' - "$TMP/$name.fifo" "${@:3}"
    FEED_FD[$name]=$fd
    FEED_PID[$name]=$SPAWNED
}

feed() { # NAME LINE
    printf '%s\n' "$2" >&"${FEED_FD[$1]}"
}

# feed_end NAME: after what was fed has made the program end; its exit code
feed_end() {
    local fd=${FEED_FD[$1]}
    exec {fd}>&-
    finish "${FEED_PID[$1]}" 5
}

# feed_says NAME SECONDS PATTERN [TIMES]: so many lines of its output match the extended regular expression, at once or in time
feed_says() {
    eventually "$2" feed_has "$1" "$3" "${4:-1}" || {
        tail -n 20 "$TMP/$1.log" >&2
        fail "$1 did not say '$3' ${4:-1} times"
    }
}

feed_count() { # NAME PATTERN
    grep -cE "$2" "$TMP/$1.log" || true
}

feed_has() { # NAME PATTERN TIMES
    [[ $(feed_count "$1" "$2") -ge $3 ]]
}
