# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# For tests of `fzbench net`, which makes its own namespaces: they only look from outside. Sourced after netns.sh.
#
#   bench_begin IMPL...            after rig_begin: what must be there. $json: where a result may be written
#   begins                         before a run
#   nothing_left WHAT              after the end of a run
#   refused CODE PATTERN ARGUMENT...    a run that says in one line why it cannot be
#   interrupted SIGNAL COUNT ARGUMENT...    a run that gets the signal once so many processes of fzbench are there
#   has_rows SETTING IMPL... -- ROW...    the last run's result has these rows, and figures above 0 ($TMP/out, $json)
#   marked_named NAME              the process ids of a run's programs with that name (15 characters)
#   running NAME COUNT             there are so many of them
#
# BENCH_UNDER, an array, is a command that a run that is refused is started by.

BENCH_UNDER=()

bench_begin() { # IMPL...
    [[ ${FZ_IMPL_A:-ours} == ours ]] || skip "says nothing about other implementations"
    require_impl "$@"
    FZBENCH=$BUILD/fzbench
    [[ -x $FZBENCH ]] || skip "there is no $FZBENCH (it needs libjansson-dev)"
    export DEPS
    # Every process of a run inherits it, so that leftovers can be found without mistake.
    export FZ_BENCH_TEST_MARK=$RIG_OWNER-$EPOCHREALTIME
    mkdir "$TMP/files"
    json=$TMP/files/result.json
}

marked() { # the process ids
    grep -lzsx "FZ_BENCH_TEST_MARK=$FZ_BENCH_TEST_MARK" /proc/[0-9]*/environ | sed 's|/proc/\([0-9]*\)/.*|\1|'
}

marked_named() { # NAME: the process ids of programs with that name (15 characters)
    local pid
    for pid in $(marked); do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) != "$1" ]] || echo "$pid"
    done
}

gone() { # nothing of a run is there; this shell and its helpers were started without the mark
    local name
    for name in firezone-headle firezone-gatewa wireguard-go fzbench fzlink fzportal fzrelay; do
        [[ -z $(marked_named "$name") ]] || return 1
    done
}

# Of the host, what a run could have changed. Other tests may be at work.
host_state() {
    grep -E 'fzbench|wireguard' /proc/self/mounts || true
    ip -o link | grep -E ' (veth-[ab]|fz[0-9][ab])[@:]' || true
    find "$RUN_DIR" -name 'fz[0-9][ab].*' 2>/dev/null || true
    ls -A "$TMP/files"
}

begins() {
    host_state >"$TMP/before"
}
nothing_left() {
    eventually 5 gone || fail "$1: processes are left: $(marked | tr '\n' ' ')"
    host_state >"$TMP/after"
    diff "$TMP/before" "$TMP/after" >"$TMP/diff" || fail "$1: leaves something behind: $(cat "$TMP/diff")"
}

running() { # NAME COUNT
    [[ $(marked_named "$1" | wc -l) -eq $2 ]]
}

refused() {
    local code=$1 pattern=$2 status=0
    shift 2
    begins
    "${BENCH_UNDER[@]}" "$FZBENCH" net "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
    [[ $status -eq $code ]] || fail "net $*: exit code $status, not $code: $(cat "$TMP/err")"
    grep -qE "$pattern" "$TMP/err" || fail "net $*: the message is not clear: $(cat "$TMP/err")"
    [[ $(wc -l <"$TMP/err") -eq 1 ]] || fail "net $*: more than one line: $(cat "$TMP/err")"
    nothing_left "net $*"
    say "  $(cat "$TMP/err")"
}

# What programs note there for those that come after them, by their process ids, which of a run are another namespace's.
bench_notes() {
    local pid inner
    for pid in $(marked_named firezone-headle) $(marked_named firezone-gatewa); do
        inner=$(sed -n 's/^NSpid:.*\t//p' "/proc/$pid/status" 2>/dev/null) || continue
        find /run/dev.firezone.client -name "*-$inner-*" -newer "$TMP/before" 2>/dev/null || true
    done
}

interrupted() { # SIGNAL COUNT ARGUMENT...
    local signal=$1 count=$2 pid status=0
    shift 2
    begins
    "$FZBENCH" net "$@" >"$TMP/out" 2>"$TMP/err" &
    pid=$!
    eventually 30 running fzbench "$count" || fail "net $*: does not begin: $(cat "$TMP/err")"
    [[ -z $(bench_notes) ]] || fail "net $*: writes to the host: $(bench_notes | tr '\n' ' ')"
    kill -"$signal" "$pid"
    wait "$pid" 2>/dev/null || status=$?
    [[ $status -eq $((128 + $(kill -l "$signal"))) ]] || fail "net $*: SIG$signal: exit code $status: $(cat "$TMP/err")"
    nothing_left "net $* after SIG$signal"
}

has_rows() { # SETTING IMPL... -- ROW...
    local setting=$1 names=() name row
    shift
    while [[ $1 != -- ]]; do
        names+=("$1")
        shift
    done
    for row in "${@:2}"; do
        for name in "${names[@]}"; do
            grep -q "\"net/$row/$setting/$name\"" "$json" || fail "there is no row net/$row/$setting/$name"
            awk -v name="net/$row/$setting/$name" '$1 == name && $2 > 0 { good = 1 } END { exit !good }' "$TMP/out" ||
                fail "row net/$row/$setting/$name has no figure: $(cat "$TMP/out")"
        done
    done
}
