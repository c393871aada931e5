#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The development relay with real sockets: a client that has nothing of our code in it, and an echo server as its peer; then the
# relay at the development portal, which tells a client of it.
#
#     [c] ===== [r] ===== [p]     client, relay and portal, peer
#
# timeout: 90
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh
. "$(dirname "$0")/support/portal.sh"
rig_begin 80
need python3 unshare

FZRELAY=${FZ_RELAY:-$BUILD/fzrelay}
ECHO_PORT=7007
PUBLIC4=192.0.2.1
PUBLIC6=2001:db8:2::1
require_impl ours
ns_add c r p
link c r 1
link r p 2
ip -n "$(ns c)" route add default via 192.0.1.2
ip -n "$(ns c)" route add default via 2001:db8:1::2

relay_start() { # ARGUMENT...: until it is ready
    : >"$TMP/relay.log"
    spawn relay r "$FZRELAY" --public-ip4 $PUBLIC4 --public-ip6 $PUBLIC6 --control "$TMP/relay.sock" "$@"
    RELAY_PID=$SPAWNED
    eventually 5 grep -qx ready "$TMP/relay.log" || fail "fzrelay does not start: $(cat "$TMP/relay.log")"
}

relay_end() { # [SIGNAL]
    kill -"${1:-TERM}" "$RELAY_PID"
    finish "$RELAY_PID" 5 || fail "fzrelay ended with $? after SIG${1:-TERM}"
    [[ ! -e $TMP/relay.sock ]] || fail "the control socket is left behind"
    ! grep -E '  ?(ERROR|WARN) ' "$TMP/relay.log" >&2 || fail "fzrelay logged the above"
}

relay_ctl() {
    timeout 10 "$FZRELAY" ctl --control "$TMP/relay.sock" "$@" >"$TMP/ctl" 2>&1 || fail "fzrelay ctl $*: $(cat "$TMP/ctl")"
    cat "$TMP/ctl"
}

word_of() { # KEY: of the relay's output
    sed -n "s/^$1 //p" "$TMP/relay.log"
}

sockets() { # how many the relay has
    in_ns r ss -Hlnu | wc -l
}

say "what it says of wrong arguments"
for arguments in "--public-ip4 ::1" "--listen 1.2.3.4:5 --public-ip6 ::1" "--nonsense" \
    "--public-ip4 192.0.2.1 --lowest-port 9 --highest-port 8" "credentials" "--public-ip4 192.0.2.1 --token x"; do
    status=0
    # shellcheck disable=SC2086
    timeout 5 "$FZRELAY" $arguments >"$TMP/out" 2>"$TMP/err" || status=$?
    [[ $status -eq 2 && $(wc -l <"$TMP/err") -eq 1 && ! -s $TMP/out ]] || fail "'$arguments': $status, $(cat "$TMP/err")"
done
"$FZRELAY" --version | grep -qE '^fzrelay [0-9]' || fail "--version"
[[ $("$FZRELAY" credentials --stamp-secret 1cab293a-4032-46f4-862a-40e5d174b0d2 --expiry 1685984278 --salt uvdgKvS9GXYZ_vmv) == \
    $'username 1685984278:uvdgKvS9GXYZ_vmv\npassword 6xUIoZ+QvxKhRasLifwfRkMXl+ETLJUsFkHlXjlHAkg' ]] || fail "credentials"

say "a client of both families, an echo server"
spawn echo p "$(support echo)" serve $ECHO_PORT
eventually 5 udp_listens p $ECHO_PORT || fail "the echo server does not listen"
for gso in "" --no-gso; do
    # shellcheck disable=SC2086
    relay_start --stamp-secret "a secret" $gso
    [[ $(word_of listen) == $'192.0.2.1:3478\n[2001:db8:2::1]:3478' ]] || fail "it listens at: $(word_of listen)"
    [[ $(sockets) -eq 2 ]] || fail "sockets at first: $(sockets)"
    in_ns c python3 "$ROOT/tests/support/relay_client.py" "$FZRELAY" "$TMP/relay.sock" "a secret" "$(word_of username)" \
        "$(word_of password)" $ECHO_PORT $PUBLIC4 $PUBLIC6 $PUBLIC4 $PUBLIC6 192.0.2.2 2001:db8:2::2 >"$TMP/client.log" 2>&1 ||
        fail "the client: $(cat "$TMP/client.log")"
    [[ $(grep -c '^deletion$' "$TMP/client.log") -eq 2 && $(tail -n 1 "$TMP/client.log") == "relayed to relayed" ]] || fail "the client: $(cat "$TMP/client.log")"
    [[ $(sockets) -eq 2 ]] || fail "sockets in the end: $(sockets)"
    relay_end
done

say "the secret from a file, the port taken"
printf '%064d\n' 0 >"$TMP/secret"
relay_start --secret-file "$TMP/secret" --listen 192.0.1.2:3478
[[ $(word_of listen) == $'192.0.1.2:3478\n[2001:db8:2::1]:3478' ]] || fail "it listens at: $(word_of listen)"
[[ $(word_of password) == "$("$FZRELAY" credentials --secret-file "$TMP/secret" | sed -n 's/^password //p')" ]] || fail "another secret"
status=0
in_ns r timeout 5 "$FZRELAY" --public-ip4 192.0.1.2 --control "$TMP/second.sock" >"$TMP/out" 2>&1 || status=$?
[[ $status -eq 1 && $(cat "$TMP/out") == *192.0.1.2:3478* ]] || fail "a second one on the port: $status, $(cat "$TMP/out")"
relay_end HUP

say "at the portal: announced to a client, changed, gone"
portal_config <<'INI'
[portal]
connect_limit = no
presence_delay_ms = 100
[account acme]
[client-token laptop]
token = .client-laptop
[relay-token relays]
token = .relay
[site Frankfurt]
INI
portal_start r --listen 192.0.1.2:8081
client_start laptop c FIREZONE_API_URL=ws://192.0.1.2:8081
client_says laptop 5 "init received: 0 resources, 0 relays"
relay_start --portal-url ws://192.0.1.2:8081 --token .relay --stamp-secret "$(printf '%064d' 0)"
client_says laptop 5 "relay 192.0.2.1:3478 and [2001:db8:2::1]:3478: new"
relay_ctl secret secret=another >/dev/null
client_says laptop 10 "relay 192.0.2.1:3478 and [2001:db8:2::1]:3478: gone"
client_says laptop 5 "relay 192.0.2.1:3478 and [2001:db8:2::1]:3478: new" 2
! grep -q -e another -e '\.relay' "$TMP/relay.log" || fail "a secret is in the relay's log"
relay_end
client_says laptop 10 "relay 192.0.2.1:3478 and [2001:db8:2::1]:3478: gone" 2

say "a token that the portal does not know ends it"
status=0
in_ns r timeout 20 env FIREZONE_TOKEN=.nobody "$FZRELAY" --public-ip4 $PUBLIC4 --control "$TMP/relay.sock" \
    --portal-url ws://192.0.1.2:8081 >"$TMP/out" 2>&1 || status=$?
[[ $status -eq 1 ]] || fail "it ended with $status: $(cat "$TMP/out")"
grep -q 'invalid_token' "$TMP/out" || fail "it does not say why it ends: $(cat "$TMP/out")"
[[ ! -e $TMP/relay.sock ]] || fail "the control socket is left behind"
kill -TERM "${CLIENT_PID[laptop]}"
client_end laptop 0
rig_end
