#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A change of the sockets (SIGHUP) for which there are no descriptors: the tunnel tries again by itself until it works.
#
#     [a] roams ----- [b]
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 60

[[ ${FZ_IMPL_A:-ours} == ours ]] || skip "only ours roams on SIGHUP"
need prlimit

errors() {
    grep -c 'no sockets after a change of network' "${T_LOG[a]}" || true
}

sockets_are_back() {
    grep -q 'the sockets are open again' "${T_LOG[a]}"
}

pair_net
pair_conf 4 a
T_ERRORS[a]=out_no_socket
T_WARN[a]='no sockets after a change of network'
pair_up ours "${FZ_IMPL_B:-ours}"
eventually 5 one_ping a "$INNER_B4" || fail "no tunnel"

soft=$(prlimit --pid "${T_PID[a]}" --nofile --noheadings --output SOFT)
prlimit --pid "${T_PID[a]}" --nofile=3:
kill -HUP "${T_PID[a]}"
sleep 1
[[ $(errors) -eq 1 ]] || fail "$(errors) errors were logged, wanted one"
! udp_listens a $PORT_A || fail "there are sockets without descriptors"
! one_ping a "$INNER_B4" >/dev/null 2>&1 || fail "the tunnel works without sockets"
prlimit --pid "${T_PID[a]}" --nofile="$soft":
eventually 6 sockets_are_back || fail "no new attempt"
udp_listens a $PORT_A || fail "the port is another one"
eventually 5 one_ping a "$INNER_B4" || fail "no tunnel any more"
check_ping b "$INNER_A4"
[[ $(errors) -eq 1 ]] || fail "$(errors) errors were logged, wanted one"
rig_end
