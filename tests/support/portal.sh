# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# For net tests with a development portal, clients and gateways of it; sourced after netns.sh.
#
#   portal_config <<...          writes $TMP/portal.ini
#   portal_start NS [ARGUMENT]... fzportal in a namespace, ready; `ctl COMMAND [KEY=VALUE]...` speaks to it
#   client_start NAME NS [VARIABLE=VALUE]... [-- ARGUMENT...]
#                                a client in the background, its log in $TMP/NAME.log, its process id in CLIENT_PID[NAME]
#   gateway_start NAME NS ...    the same for a gateway; what follows is for both
#   client_says NAME SECONDS TEXT [COUNT]   waits for a line of its log
#   client_stub NAME SERVER      where it answers for this DNS server
#   client_counter NAME COUNTER  its value now
#   client_end NAME CODE         ends it with SIGTERM unless CODE is another than 0, and checks its exit code
#
# The system's resolvers are left alone (FIREZONE_DNS_CONTROL=disabled) unless CLIENT_ETC names a folder that is the client's /etc.
# CLIENT_MOUNTS, if not empty, is a command that is run before a client in its own mount namespace; CLIENT_UNDER, one that gets the
# client's command line and runs it.
# Each has the hosts file $TMP/hosts and the resolvers of $TMP/resolv.conf, and its token (.client-NAME, .gateway-NAME), name and
# id by its NAME.

FZPORTAL=${FZ_PORTAL:-$BUILD/fzportal}
GATEWAY=${FZ_GATEWAY:-$BUILD/firezone-gateway}
declare -A CLIENT_PID=()

portal_config() {
    cat >"$TMP/portal.ini"
}

portal_start() { # NS ARGUMENT...
    local where=$1
    shift
    : >"$TMP/portal.log"
    spawn portal "$where" "$FZPORTAL" --config "$TMP/portal.ini" --control "$TMP/portal.sock" "$@"
    PORTAL_PID=$SPAWNED
    eventually 5 grep -qx ready "$TMP/portal.log" || fail "fzportal does not start: $(cat "$TMP/portal.log")"
}

ctl() {
    timeout 10 "$FZPORTAL" ctl --control "$TMP/portal.sock" "$@" >"$TMP/ctl" 2>&1 || fail "fzportal ctl $*: $(cat "$TMP/ctl")"
    cat "$TMP/ctl"
}

client_start() {
    member_start client "$CLIENT" "$@"
}

gateway_start() {
    member_start gateway "$GATEWAY" "$@"
}

# Once: what another client is just being started with cannot be written.
isolated_make() {
    [[ -e $TMP/hosts ]] || printf '127.0.0.1 localhost\n' >"$TMP/hosts"
    [[ -e $TMP/resolv.conf ]] || : >"$TMP/resolv.conf"
    [[ ! -x $TMP/isolated ]] || return 0
    cat >"$TMP/isolated" <<WRAPPER
#!/bin/sh
exec unshare -m sh -c 'mount --make-rprivate / &&
    if [ "\$CLIENT_ETC" ]; then mount --bind "\$CLIENT_ETC" /etc; else
        mount --bind $TMP/hosts /etc/hosts && mount --bind $TMP/resolv.conf /etc/resolv.conf; fi &&
    eval "\${CLIENT_MOUNTS:-true}" && exec "\$@"' sh "\$@"
WRAPPER
    chmod 755 "$TMP/isolated"
}

member_start() { # ROLE PROGRAM NAME NS ...
    local role=$1 program=$2 name=$3 where=$4 variables=()
    shift 4
    while [[ $# -gt 0 && $1 != -- ]]; do
        variables+=("$1")
        shift
    done
    shift $(($# > 0 ? 1 : 0))
    isolated_make
    [[ $role == gateway || ${CLIENT_ETC:-} ]] || variables=(FIREZONE_DNS_CONTROL=disabled "${variables[@]}")
    CLIENT_MOUNTS=${CLIENT_MOUNTS:-} CLIENT_ETC=${CLIENT_ETC:-} spawn "$name" "$where" "$TMP/isolated" env -i PATH="$PATH" ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} \
        FIREZONE_TOKEN=".$role-$name" FIREZONE_ID="id-of-$name" FIREZONE_NAME="device $name" \
        "${variables[@]}" ${CLIENT_UNDER:+"$CLIENT_UNDER"} "$program" --tun "$(tun "$name")" "$@"
    CLIENT_PID[$name]=$SPAWNED
}

# client_says NAME SECONDS TEXT [COUNT]: the log has the text in so many lines (1)
client_says() {
    eventually "$2" client_has "$1" "$3" "${4:-1}" ||
        fail "'$1' does not say '$3' within $2 s: $(tail -n 20 "$TMP/$1.log")"
}

client_has() { # NAME TEXT COUNT
    [[ $(grep -cF -- "$2" "$TMP/$1.log") -ge $3 ]]
}

# client_stub NAME SERVER: the address of the client that stands for this DNS server
client_stub() {
    sed -nE "s|.* dns: ([0-9a-f.:]+) stands for $2(:53)?$|\1|p" "$TMP/$1.log" | tail -n 1 | grep .
}

# client_counter NAME COUNTER: its value now
client_counter() {
    counters_of "${CLIENT_PID[$1]}" "$TMP/$1.log" | awk -v name="$2" '$1 == name { value = $2 } END { print value + 0 }'
}

# The code is 0 after SIGTERM; others are waited for, at most SECONDS (10).
client_end() { # NAME CODE [SECONDS]
    local name=$1 code=$2 status=0
    [[ $code -ne 0 ]] || kill -TERM "${CLIENT_PID[$name]}"
    finish "${CLIENT_PID[$name]}" "${3:-10}" || status=$?
    unset "CLIENT_PID[$name]"
    [[ $status -eq $code ]] || fail "client '$name' ended with $status instead of $code: $(tail -n 20 "$TMP/$name.log")"
    ! grep -qE -- "\.(client|gateway)-$name" "$TMP/$name.log" || fail "the token is in the log of '$name'"
}
