# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# For net tests with a DoH server, https://doh.test:8443/dns-query; sourced after netns.sh.
#
#   doh_certificate              makes $TMP/doh.pem and $TMP/doh.key, of doh.test
#   doh_start NS ADDRESS         doh_server.cjs in a namespace; its log, $TMP/doh.log, begins anew
#   doh_stop                     ends it

DOH_URL=https://doh.test:8443/dns-query
DOH_ANSWER="NOERROR 192.0.2.53" # to all

doh_certificate() {
    need openssl node
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$TMP/doh.key" -out "$TMP/doh.pem" \
        -days 2 -subj /CN=doh.test -addext subjectAltName=DNS:doh.test 2>"$TMP/openssl" || fail "no certificate: $(cat "$TMP/openssl")"
}

doh_start() { # NS ADDRESS
    : >"$TMP/doh.log"
    spawn doh "$1" node "$ROOT/tests/support/doh_server.cjs" "$2" 8443 "$TMP/doh.pem" "$TMP/doh.key"
    DOH_PID=$SPAWNED
    eventually 15 grep -qx ready "$TMP/doh.log" || fail "node does not start: $(cat "$TMP/doh.log")"
}

doh_stop() {
    kill -TERM "$DOH_PID"
    finish "$DOH_PID" 5 || [[ $? -eq 143 ]] || fail "node does not end"
}
