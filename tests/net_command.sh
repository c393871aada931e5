#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The command line as an administrator and a service manager use it: --check with all that it looks at, the rules of the token
# file as root and as somebody else, where the token does not appear, sign-in and sign-out, the exit codes. The folders of the
# machine are replaced, for the tested program only.
#
#     [a]     no link: what stands for a portal is on its loopback
#
# shellcheck disable=SC2016,SC2086
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
rig_begin 90
need unshare setpriv mount socat openssl

require_impl ours
ns_add a

SECRET=n.SFMyNTY.what-nobody-may-see
MACHINE_ID=0123456789abcdef0123456789abcdef
NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)
TOKEN_FILE=/etc/dev.firezone.client/token
ID_FILE=/var/lib/dev.firezone.client/config/firezone-id.json

chmod 755 "$TMP"
mkdir -m 755 "$TMP/etc" "$TMP/lib"
for file in hosts passwd group nsswitch.conf ld.so.cache; do
    [[ ! -e /etc/$file ]] || cp -L "/etc/$file" "$TMP/etc/$file"
done
chmod 644 "$TMP"/etc/*
printf 'NAME="Test GNU/Linux"\nVERSION_ID="7.1"\n' >"$TMP/etc/os-release"
printf '%s\n' "$MACHINE_ID" >"$TMP/etc/machine-id"
mkdir -m 755 "$TMP/etc/dev.firezone.client"
chmod 644 "$TMP/etc/os-release" "$TMP/etc/machine-id"
cat >"$TMP/isolated" <<WRAPPER
#!/bin/sh
exec unshare -m sh -c 'mount --make-rprivate / && mount --bind $TMP/etc /etc && mount --bind $TMP/lib /var/lib && exec "\$@"' sh "\$@"
WRAPPER
chmod 755 "$TMP/isolated"
TOKEN=$TMP$TOKEN_FILE # seen from here
ID=$TMP/lib/${ID_FILE#/var/lib/}

# run [NAME=VALUE]... [COMMAND PREFIX...] CLIENT...: in place of the machine's folders; output to $TMP/out, the code to CODE
run() {
    CODE=0
    in_ns a "$TMP/isolated" env -i PATH="$PATH" ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} "$@" >"$TMP/out" 2>&1 <"${INPUT:-/dev/null}" || CODE=$?
    ! grep -qF what-nobody-may-see "$TMP/out" || fail "the token is in the output of: $*"
}

# check CODE TEXT WORD...: a run ends with the code and says the text in one line
check() {
    local code=$1 text=$2
    shift 2
    run "$@"
    [[ $CODE -eq $code ]] || fail "code $CODE instead of $code from '$*': $(cat "$TMP/out")"
    grep -qF -- "$text" "$TMP/out" || fail "'$*' does not say '$text': $(cat "$TMP/out")"
    [[ $code -eq 0 || $(grep -c '^firezone-headless-client: ' "$TMP/out") -eq 1 ]] ||
        fail "'$*' fails with other than one line: $(cat "$TMP/out")"
}

say "usage: 2, whatever else is wrong"
check 2 "unknown option '--token'" "$CLIENT" --token "$SECRET"
check 2 "unknown option '--token'" "$CLIENT" --token="$SECRET" --check
check 2 "unknown command of " "$CLIENT" "$SECRET"
check 2 "unknown command 'up'" "$CLIENT" up
check 2 "must stand before the command" "$CLIENT" standalone --check
check 2 "MAX_PARTITION_TIME: 'soon' is not a duration" MAX_PARTITION_TIME=soon "$CLIENT" --check
check 2 "FIREZONE_API_URL: it must begin with" FIREZONE_API_URL="ftp://$SECRET" "$CLIENT" --check
check 2 "--api-url: it must not contain a user name" "$CLIENT" --check --api-url "wss://u:$SECRET@host"
check 0 "Usage: firezone-headless-client" "$CLIENT" --help
check 0 "FIREZONE_AUTH_BASE_URL" "$CLIENT" sign-in --help
check 0 "--force" "$CLIENT" sign-out --help
run "$CLIENT" --version
[[ $CODE -eq 0 && $(cat "$TMP/out") =~ ^firezone-headless-client\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "--version: $(cat "$TMP/out")"

say "--check: token, device id, login URL, certificates"
for command in "" standalone; do
    check 0 "is valid" FIREZONE_TOKEN="$SECRET" "$CLIENT" --check $command
done
[[ $(stat -c %a "$(dirname "$ID")") == 770 ]] || fail "the client's folder is open: $(stat -c %a "$(dirname "$ID")")"
[[ ! -e $ID ]] || fail "an id was written where the machine has one"
check 0 "is valid" FIREZONE_TOKEN="$SECRET" "${NOBODY[@]}" "$CLIENT" --check
check 0 "is valid" FIREZONE_TOKEN="  $SECRET " "$CLIENT" --check --api-url ws://localhost:8081/base -m 5m --exit
check 1 'there is no token: $FIREZONE_TOKEN is not set, and the token file '"$TOKEN_FILE: No such file" "$CLIENT" --check
check 1 "the token file /nowhere: No such file" FIREZONE_TOKEN= "$CLIENT" --check --token-path /nowhere
check 1 '$FIREZONE_TOKEN: it has characters' FIREZONE_TOKEN="$SECRET"$'\e' "$CLIENT" --check
check 1 '$FIREZONE_TOKEN: it is empty' FIREZONE_TOKEN=" " "$CLIENT" --check
check 1 "the certificates in /nowhere: No such file" FIREZONE_TOKEN="$SECRET" "$CLIENT" --check --ca-file /nowhere
check 1 "the certificates in /etc/hosts: it holds none (PEM)" FIREZONE_TOKEN="$SECRET" FIREZONE_CA_FILE=/etc/hosts "$CLIENT" --check
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/key.pem" -out "$TMP/etc/ca.pem" -days 1 \
    -subj "/CN=test CA" 2>"$TMP/openssl" || fail "openssl makes no certificate: $(cat "$TMP/openssl")"
chmod 644 "$TMP/etc/ca.pem"
check 0 "is valid" FIREZONE_TOKEN="$SECRET" FIREZONE_CA_FILE=/etc/ca.pem "$CLIENT" --check
check 1 '$FIREZONE_TOKEN: it is larger than 8 KiB' FIREZONE_TOKEN="$(head -c 8193 /dev/zero | tr '\0' a)" "$CLIENT" --check
for asked in FIREZONE_NO_TELEMETRY=false FIREZONE_METRICS=otel-collector OTLP_GRPC_ENDPOINT=localhost:4317; do
    check 0 "${asked%%=*}: this client measures nothing and sends nothing" FIREZONE_TOKEN="$SECRET" "$asked" "$CLIENT" --check
done
check 0 "is valid" FIREZONE_TOKEN="$SECRET" "$CLIENT" --dns-control=disabled --activate-internet-resource --check
run FIREZONE_TOKEN="$SECRET" FIREZONE_NO_TELEMETRY=true "$CLIENT" --check
[[ $(cat "$TMP/out") == *"is valid" && $(wc -l <"$TMP/out") -eq 1 ]] || fail "--check says more: $(cat "$TMP/out")"

say "the log: filter, format, file"
check 2 "--log-level: " "$CLIENT" --log-level loud --check
check 2 "RUST_LOG: " RUST_LOG=main=loud "$CLIENT" --check
check 2 "FIREZONE_LOG: " FIREZONE_LOG=loud "$CLIENT" --check
check 2 "RUST_LOG: " RUST_LOG=loud FIREZONE_LOG=info "$CLIENT" --check
run FIREZONE_TOKEN="$SECRET" FIREZONE_METRICS=stdout RUST_LOG=main=warn "$CLIENT" --check
[[ $CODE -eq 0 && $(cat "$TMP/out") == *"is valid" ]] || fail "main=warn: $(cat "$TMP/out")"
check 0 '"level":"INFO"' FIREZONE_TOKEN="$SECRET" FIREZONE_METRICS=stdout "$CLIENT" --log-format json --check
mkdir -m 755 "$TMP/lib/logs"
check 0 "is valid" FIREZONE_TOKEN="$SECRET" FIREZONE_METRICS=stdout LOG_DIR=/var/lib/logs "$CLIENT" --check
grep -q 'FIREZONE_METRICS: this client measures nothing' "$TMP/lib/logs/firezone-headless-client.latest" || fail "the log file: $(ls -l "$TMP/lib/logs")"
! grep -rqF what-nobody-may-see "$TMP/lib/logs" || fail "the log file has the token"
check 1 "/etc/hosts/logs" FIREZONE_TOKEN="$SECRET" "$CLIENT" --check --log-dir /etc/hosts/logs

say "the device id: stored, or made where the machine has none"
rm "$TMP/etc/machine-id"
check 0 "is valid" FIREZONE_TOKEN="$SECRET" "$CLIENT" --check
[[ $(stat -c %a "$ID") == 640 && $(cat "$ID") =~ ^\{\"id\":\"[0-9a-f]{64}\"\}$ ]] || fail "the new id: $(ls -l "$ID") $(cat "$ID")"
kept=$(cat "$ID")
chmod 666 "$ID"
check 0 "is valid" FIREZONE_TOKEN="$SECRET" "$CLIENT" --check
[[ $(cat "$ID") == "$kept" && $(stat -c %a "$ID") == 640 ]] || fail "the id was not kept: $(ls -l "$ID")"
echo damaged >"$ID"
check 1 "there is no id for this device: not read: $ID_FILE: " FIREZONE_TOKEN="$SECRET" "$CLIENT" --check
check 0 "is valid" FIREZONE_TOKEN="$SECRET" FIREZONE_ID=mine "$CLIENT" --check
printf '%s\n' "$MACHINE_ID" >"$TMP/etc/machine-id"
chmod 644 "$TMP/etc/machine-id"
check 0 "the stored id is not used" FIREZONE_TOKEN="$SECRET" "$CLIENT" --check
[[ $(cat "$ID") == damaged ]] || fail "a damaged file was overwritten"
rm "$ID"

say "the token file: what is accepted"
file() { # MODE OWNER TEXT
    rm -rf "$TOKEN"
    printf '%s' "$3" >"$TOKEN"
    chown "$2" "$TOKEN"
    chmod "$1" "$TOKEN"
}
for mode in 600 400; do
    file $mode 0:0 "$SECRET"
    check 0 "is valid" "$CLIENT" --check
    check 1 "$TOKEN_FILE: Permission denied" "${NOBODY[@]}" "$CLIENT" --check
done
file 600 0:0 " $SECRET"$'\r\n'
check 0 "is valid" FIREZONE_TOKEN_PATH=$TOKEN_FILE "$CLIENT" --check
check 0 "is valid" "$CLIENT" --check --token-path $TOKEN_FILE

say "the token file: what is refused, as root and as its owner"
for mode in 640 620 610 604 602 601 700 500 777 100; do
    file $mode 0:0 "$SECRET"
    check 1 "its mode must be 0400 or 0600, not 0$mode" "$CLIENT" --check
done
for mode in 644 666 444; do
    file $mode 0:0 "$SECRET"
    check 1 "its mode must be 0400 or 0600, not 0$mode" "${NOBODY[@]}" "$CLIENT" --check
done
file 600 65534:0 "$SECRET"
check 1 "its owner must be root, not user 65534" "$CLIENT" --check
check 1 "its owner must be root, not user 65534" "${NOBODY[@]}" "$CLIENT" --check
file 600 0:65534 "$SECRET"
check 1 "its group must be root, not group 65534" "$CLIENT" --check
file 600 0:0 ""
check 1 "$TOKEN_FILE: it is empty" "$CLIENT" --check
file 600 0:0 $'\n \n'
check 1 "$TOKEN_FILE: it is empty" "$CLIENT" --check
file 600 0:0 "$SECRET"$'\x01'
check 1 "$TOKEN_FILE: it has characters that no token has" "$CLIENT" --check
file 600 0:0 "$(head -c 8192 /dev/zero | tr '\0' a)"
check 0 "is valid" "$CLIENT" --check
file 600 0:0 "$(head -c 8193 /dev/zero | tr '\0' a)"
check 1 "$TOKEN_FILE: it is larger than 8 KiB" "$CLIENT" --check
file 600 0:0 "$SECRET"
mv "$TOKEN" "$TOKEN.real"
ln -s token.real "$TOKEN"
check 1 "$TOKEN_FILE: it is a symbolic link" "$CLIENT" --check
rm "$TOKEN"
mkdir -m 700 "$TOKEN"
check 1 "$TOKEN_FILE: it is not a regular file" "$CLIENT" --check
rmdir "$TOKEN"
mkfifo -m 600 "$TOKEN"
check 1 "$TOKEN_FILE: it is not a regular file" "$CLIENT" --check
rm "$TOKEN"
check 1 "/dev/null: " "$CLIENT" --check --token-path /dev/null
check 1 "/etc/hosts/token: Not a directory" "$CLIENT" --check --token-path /etc/hosts/token

say "a credential of the service manager"
mkdir -m 755 "$TMP/etc/credentials"
printf '%s\n' "$SECRET" >"$TMP/etc/credentials/FIREZONE_TOKEN"
chmod 440 "$TMP/etc/credentials/FIREZONE_TOKEN"
chown 65534:65534 "$TMP/etc/credentials/FIREZONE_TOKEN"
check 1 "there is no token" "$CLIENT" --check
check 0 "is valid" CREDENTIALS_DIRECTORY=/etc/credentials "$CLIENT" --check
check 0 "is valid" CREDENTIALS_DIRECTORY=/etc/credentials "${NOBODY[@]}" "$CLIENT" --check
check 1 "the token file /nowhere: No such file" CREDENTIALS_DIRECTORY=/etc/credentials "$CLIENT" --check --token-path /nowhere
check 1 "the token file /nowhere: No such file" CREDENTIALS_DIRECTORY=/etc/credentials FIREZONE_TOKEN_PATH=/nowhere "$CLIENT" --check
mv "$TMP/etc/credentials/FIREZONE_TOKEN" "$TMP/etc/credentials/other"
ln -s other "$TMP/etc/credentials/link"
check 0 "is valid" CREDENTIALS_DIRECTORY=/etc/credentials/ "$CLIENT" --check --token-path /etc/credentials/link
check 1 "it is a symbolic link" "$CLIENT" --check --token-path /etc/credentials/link
chmod 444 "$TMP/etc/credentials/other"
check 1 "not 0444" CREDENTIALS_DIRECTORY=/etc/credentials "$CLIENT" --check --token-path /etc/credentials/link

say "sign-in and sign-out"
printf ' %s \n' "$SECRET" >"$TMP/typed"
chmod 755 "$TMP/typed"
INPUT=$TMP/typed check 1 "must be run as root" "${NOBODY[@]}" "$CLIENT" sign-in
rm -rf "$TMP/etc/dev.firezone.client"
INPUT=$TMP/typed check 0 "The token is stored in $TOKEN_FILE." "$CLIENT" sign-in
[[ $(cat "$TOKEN") == "$SECRET" && $(stat -c '%a %u %g %s' "$TOKEN") == "600 0 0 ${#SECRET}" ]] || fail "the stored token: $(ls -l "$TOKEN")"
check 0 "is valid" "$CLIENT" --check
check 1 "the token: it is empty" "$CLIENT" sign-in
[[ $(cat "$TOKEN") == "$SECRET" ]] || fail "an empty answer removed the token"
echo other >"$TMP/typed"
INPUT=$TMP/typed check 0 "stored in $TOKEN_FILE." FIREZONE_TOKEN=ignored "$CLIENT" sign-in --account-slug acme
[[ $(cat "$TOKEN") == other && $(find "$(dirname "$TOKEN")" -type f | wc -l) -eq 1 ]] || fail "the second sign-in: $(ls -l "$(dirname "$TOKEN")")"
INPUT=$TMP/typed check 1 "cannot store the token in /etc/hosts/t: Not a directory" "$CLIENT" --token-path /etc/hosts/t sign-in
check 2 "--auth-base-url: it must begin with https:// or http://" "$CLIENT" sign-in --auth-base-url app.firezone.dev
for answer in "" n no "yes please" yesno; do
    echo "$answer" >"$TMP/typed"
    INPUT=$TMP/typed check 0 "Nothing was removed" "$CLIENT" sign-out
    [[ -e $TOKEN ]] || fail "'$answer' removed the token"
done
check 0 "Nothing was removed" "$CLIENT" sign-out
check 1 "cannot remove $TOKEN_FILE: Permission denied" "${NOBODY[@]}" "$CLIENT" sign-out -f
echo " YES" >"$TMP/typed"
INPUT=$TMP/typed check 0 "$TOKEN_FILE is removed" "$CLIENT" sign-out
[[ ! -e $TOKEN ]] || fail "the token is still there"
printf half >"$TOKEN.new" # of a sign-in that was killed
check 0 "there is no $TOKEN_FILE" "$CLIENT" sign-out
[[ ! -e $TOKEN.new ]] || fail "a part of a token is still there"
file 600 0:0 "$SECRET"
check 0 "is removed" "$CLIENT" sign-out --force
[[ ! -e $TOKEN ]] || fail "the token is still there"

say "what a client that runs has: no token in its environment or command line"
check 1 "needs CAP_NET_ADMIN" FIREZONE_TOKEN="$SECRET" "${NOBODY[@]}" "$CLIENT"
spawn client a "$TMP/isolated" env -i PATH="$PATH" MARKER=here FIREZONE_TOKEN="$SECRET" "$CLIENT" \
    --api-url ws://192.0.2.1:8080 --tun "$(tun c)" --log-level debug ${FZ_OPTIONS:-}
client=$SPAWNED
is_client() { [[ $(cat "/proc/$client/comm") == firezone-headle* ]]; }
eventually 5 is_client || fail "the client did not start: $(cat "$TMP/client.log")"
cleared() { tr '\0' '\n' <"/proc/$client/environ" >"$TMP/environ" && ! grep -q FIREZONE_TOKEN "$TMP/environ"; }
eventually 5 cleared || fail "the token's variable is still there: $(tr '\0' '\n' <"/proc/$client/environ")"
kill -0 "$client" 2>/dev/null || fail "the client gave up at once: $(cat "$TMP/client.log")"
grep -q '^MARKER=here$' "$TMP/environ" || fail "not only the token is gone from the environment"
! grep -qF what-nobody-may-see "$TMP/environ" "/proc/$client/cmdline" || fail "the token can be read from outside"
kill -TERM "$client"
finish "$client" 5 || fail "SIGTERM: exit code $?: $(cat "$TMP/client.log")"
! grep -qF what-nobody-may-see "$TMP/client.log" || fail "the log has the token"

say "nobody reads the log: the client goes on, and ends when it is told to"
mkfifo "$TMP/full"
exec 8<>"$TMP/full"
timeout 1 cat /dev/zero >&8 || true
spawn stalled a "$TMP/isolated" sh -c 'exec "$@" >"$0" 2>&1' "$TMP/full" env -i PATH="$PATH" FIREZONE_TOKEN="$SECRET" "$CLIENT" \
    --api-url ws://192.0.2.1:8080 --tun "$(tun c)" --log-level debug ${FZ_OPTIONS:-}
client=$SPAWNED
eventually 5 is_client || fail "the client did not start"
sleep 2
kill -TERM "$client"
finish "$client" 5 || fail "SIGTERM: exit code $?"
exec 8>&-

say "a rejected token: what the portal was told, and the exit code"
cat >"$TMP/portal" <<'PORTAL'
#!/bin/sh
while read -r line && [ "$line" != "$(printf '\r')" ]; do
    printf '%s\n' "$line" | tr -d '\r' >>"$1"
done
body='{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Invalid token","code":"invalid_token"}'
printf 'HTTP/1.1 401 Unauthorized\r\nContent-Type: application/problem+json; charset=utf-8\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "${#body}" "$body"
PORTAL
chmod 755 "$TMP/portal"
spawn portal a socat TCP-LISTEN:8081,bind=127.0.0.1,reuseaddr,fork "SYSTEM:$TMP/portal $TMP/request"
eventually 5 in_ns a sh -c 'ss -Hltn "sport = :8081" | grep -q .' || fail "nothing listens"
rejected() { # CODE WORD...
    local code=$1
    shift
    check "$code" "firezone-headless-client: " FIREZONE_TOKEN="$SECRET" FIREZONE_API_URL=ws://127.0.0.1:8081/ "$@" \
        "$CLIENT" --tun "$(tun c)" --firezone-name "box 7" ${FZ_OPTIONS:-}
}
rejected 77
kernel=$(uname -r)
for line in "X-Authorization: Bearer $SECRET" "User-Agent: Test/7.1.0 headless-client/1.5.12 ($(uname -m); ${kernel// /-})"; do
    grep -qiFx -- "$line" "$TMP/request" || fail "the portal was not told '$line': $(cat "$TMP/request")"
done
grep -qF "external_id=25746dc26c1cc478780348a72316d3f4c2869a29b2a4836b38bc2ad3c3d69e8c&name=box+7" "$TMP/request" ||
    fail "the portal was told something else: $(cat "$TMP/request")"
for proxy in http_proxy https_proxy all_proxy socks_proxy; do
    rejected 77 "$proxy=user:word@127.0.0.1:9" # where nobody listens
done
! grep -qiE '^(CONNECT |Proxy-)' "$TMP/request" || fail "a proxy was asked: $(cat "$TMP/request")"
CODE=0
in_ns a "$TMP/isolated" env -i PATH="$PATH" FIREZONE_TOKEN="$SECRET" "$CLIENT" --api-url ws://127.0.0.1:8081/ --tun "$(tun c)" \
    ${FZ_OPTIONS:-} >"$TMP/out" 2>"$TMP/err" || CODE=$?
[[ $CODE -eq 77 && $(wc -l <"$TMP/err") -eq 1 && $(cat "$TMP/err") == "firezone-headless-client: "* ]] ||
    fail "stderr has other than one line: $(cat "$TMP/err")"
grep -q ' ERROR client: ' "$TMP/out" || fail "the log is not on stdout: $(cat "$TMP/out")"
rejected 1 FIREZONE_COMPAT_EXIT=1
rm -rf "$TMP/lib/logs"
rejected 77 LOG_DIR=/var/lib/logs
logged() { # TEXT: in one line of the log file, as an error
    [[ $(grep -c " ERROR .*$1" "$TMP/lib/logs/firezone-headless-client.latest") -eq 1 ]] ||
        fail "the log file does not tell the end: $(cat "$TMP/lib/logs/firezone-headless-client.latest")"
}
logged "client: .*token"
check 1 "the certificates in /etc/hosts: it holds none" LOG_DIR=/var/lib/logs FIREZONE_TOKEN="$SECRET" FIREZONE_CA_FILE=/etc/hosts "$CLIENT"
logged "main: the certificates in"
check 1 "there is no token" LOG_DIR=/var/lib/logs "$CLIENT"
logged "main: there is no token"
rejected 77 FIREZONE_COMPAT_EXIT=false
check 77 "firezone-headless-client: " FIREZONE_TOKEN="$(head -c 8192 /dev/zero | tr '\0' a)" "$CLIENT" --api-url ws://127.0.0.1:8081/ --tun "$(tun c)" \
    ${FZ_OPTIONS:-}
grep -qE '^[Xx]-[Aa]uthorization: Bearer a{8192}$' "$TMP/request" || fail "the longest token does not reach the portal"
rm "$TMP/request"
rejected 77 FIREZONE_ID=7cc8d8a2-6f2b-4f0c-9c0e-3f9a4b2f6a11
grep -qF "external_id=daac79fd0567c694cbcca8a20f092e029fe430f1dfe046ebf3b6c0e909c92c1f&" "$TMP/request" ||
    fail "a UUID is not hashed: $(cat "$TMP/request")"
rig_end
