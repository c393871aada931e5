#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The gateway against the development portal: it signs in, brings its tunnel up and keeps it while the portal is away, is let in
# once per identity, hears of clients, and ends as its exit codes say.
#
#     [g] ===== [p] ===== [h]     gateways, portal.test, a gateway elsewhere
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh
. "$(dirname "$0")/support/portal.sh"
rig_begin 90
need socat unshare

require_impl ours
ns_add g h p
link g p 1
link h p 2
printf '127.0.0.1 localhost\n192.0.1.2 portal.test\n' >"$TMP/hosts"

portal_config <<'INI'
[portal]
connect_limit = no
[account acme]
[gateway-token berlin]
token = .gateway-berlin
site = Berlin
[gateway-token brief]
token = .gateway-brief
site = Berlin
[client-token laptop]
token = .client-laptop
[site Berlin]
[resource Lab]
type = cidr
address = 10.20.0.0/16
filters = tcp/443, icmp
site = Berlin
[relay static]
ipv4 = 203.0.113.7
ipv6 = 2001:db8::7
stamp_secret = 4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab
INI
portal_start p --listen 0.0.0.0:8081
api=FIREZONE_API_URL=ws://portal.test:8081
addresses() { # NAME
    ip -n "$(ns g)" -o address show dev "$(tun "$1")" scope global | awk '{ print $4 }' | sort
}
gateway_key() {
    ctl state part=devices | grep -B 20 -A 20 '"device berlin"' | sed -n 's/.*"public_key": "\(.*\)".*/\1/p' | head -n 1
}

say "usage: 2; without a token: 1; --check"
check() { # CODE TEXT [VARIABLE...] -- ARGUMENT...
    local code=$1 text=$2 status=0 variables=()
    shift 2
    while [[ $1 != -- ]]; do
        variables+=("$1")
        shift
    done
    in_ns g env -i PATH="$PATH" ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} "${variables[@]}" "$GATEWAY" "${@:2}" >"$TMP/out" 2>&1 || status=$?
    [[ $status -eq $code ]] || fail "code $status instead of $code from '${*:2}': $(cat "$TMP/out")"
    grep -qF -- "$text" "$TMP/out" || fail "'${*:2}' does not say '$text': $(cat "$TMP/out")"
}
check 0 "Usage: firezone-gateway" -- --help
check 2 "unexpected argument 'standalone'" -- standalone
check 2 "firezone-gateway: FIREZONE_MAX_PARTITION_TIME: 'soon'" FIREZONE_MAX_PARTITION_TIME=soon --
check 1 "firezone-gateway: there is no token" FIREZONE_ID=x -- --check
check 0 "is valid" FIREZONE_ID=x FIREZONE_TOKEN=.gateway-x -- --check
printf 'from\eelsewhere' >"$TMP/FIREZONE_TOKEN"
check 1 "it has characters that no token has" FIREZONE_ID=x CREDENTIALS_DIRECTORY="$TMP" -- --check
printf ' .gateway-x\n' >"$TMP/FIREZONE_TOKEN"
check 0 "is valid" FIREZONE_ID=x CREDENTIALS_DIRECTORY="$TMP" -- --check

say "sign-in, init, tunnel, readiness"
spawn notify g socat -u "UNIX-RECV:$TMP/notify" "OPEN:$TMP/notified,creat,append"
eventually 3 test -S "$TMP/notify" || fail "no notification socket"
gateway_start berlin g "$api" NOTIFY_SOCKET="$TMP/notify" FIREZONE_LOG=info,portal=debug,gateway=debug
client_says berlin 5 "init received: 0 authorizations, 1 relay"
client_says berlin 1 "relay 203.0.113.7:3478 and [2001:db8::7]:3478: new"
client_says berlin 3 "is up: "
eventually 3 grep -q READY=1 "$TMP/notified" || fail "no READY=1: $(cat "$TMP/notified")"
at_first=$(addresses berlin)
[[ $at_first == *100.*/32* && $at_first == *fd00:2021:1111:*/128* ]] || fail "the addresses in the tunnel are: $at_first"
[[ $(ip -n "$(ns g)" link show "$(tun berlin)") == *"mtu 1280 "* ]] || fail "the MTU: $(ip -n "$(ns g)" link show "$(tun berlin)")"
ctl state part=sessions | grep -q 'gateway/1.6.1' || fail "the portal does not know the gateway's version: $(cat "$TMP/ctl")"
key=$(gateway_key)
[[ -n $key ]] || fail "the portal tells no key: $(cat "$TMP/ctl")"

say "one client or gateway per network"
gateway_start third g "$api" FIREZONE_TOKEN=.gateway-brief
client_end third 1
client_says third 1 "another Firezone client or gateway (process ${CLIENT_PID[berlin]}) runs on this network; stop it first"
[[ $(ip -n "$(ns g)" rule) == *'fwmark 0xfd002021'* ]] || fail "the rules went with an instance that was refused"
check 0 "is valid" FIREZONE_ID=x FIREZONE_TOKEN=.gateway-x -- --check

say "a second gateway of the same identity is refused, and takes over when the first has ended"
gateway_start second h FIREZONE_API_URL=ws://192.0.2.2:8081 FIREZONE_TOKEN=.gateway-berlin FIREZONE_ID=id-of-berlin
client_says second 5 gateway_already_connected 2
! ip -n "$(ns h)" link show "$(tun second)" >/dev/null 2>&1 || fail "the second gateway has a tunnel"
client_end berlin 0
! ip -n "$(ns g)" link show "$(tun berlin)" >/dev/null 2>&1 || fail "the device is left behind"
client_says second 5 "init received"
client_says second 3 "is up: "
client_end second 0
! ip -n "$(ns h)" link show "$(tun second)" >/dev/null 2>&1 || fail "the device is left behind"

say "a client asks for access, and it is taken back"
gateway_start berlin g "$api" FIREZONE_LOG=info,portal=debug,gateway=debug
client_says berlin 5 "is up: " 2
[[ $(addresses berlin) == "$at_first" ]] || fail "the same gateway has other addresses: $(addresses berlin), not $at_first"
client=c0a80000-0000-4000-8000-000000000004
resource=3b0c7a52-0000-4000-8000-000000000001
asks='{"ref":"SFMyNTY.x","resource":{"type":"cidr","id":"'$resource'","name":"Lab","address":"10.20.0.0/16","filters":[]},'
asks+='"client":{"id":"'$client'","public_key":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",'
asks+='"preshared_key":"nf/zxFPO6UthXqXx5mQvtNZLT0cwCJiO6nYyJhnspc4=","ipv4":"100.70.12.4","ipv6":"fd00:2021:1111::a:1f04"},'
asks+='"client_ice_credentials":{"username":"w7up","password":"ksqw"},"gateway_ice_credentials":{"username":"kwe6","password":"mzkr"},'
asks+='"subject":{"actor_name":"Ada"},"expires_at":1785600000,"use_iceless":false,"flow_logs_ingest_token":"eyJ"}'
ctl send role=gateway event=create_authorization payload="$asks" >/dev/null
client_says berlin 3 "Ada asks for resource 'Lab', and waits for a relay"
ctl send role=gateway event=ice_candidates payload="{\"client_id\":\"$client\",\"candidates\":[\"candidate:1\"]}" >/dev/null
client_says berlin 3 "a candidate is of no use: candidate:1" # of a client that is not here
ctl send role=gateway event=reject_access payload="{\"client_id\":\"$client\",\"resource_id\":\"$resource\"}" >/dev/null
client_says berlin 3 "client $client may not reach resource $resource any more"
ctl send role=gateway event=create_authorization payload="${asks/cidr/pool}" >/dev/null
client_says berlin 3 "a message is dropped: create_authorization: resource.type: not known"
! grep -qF -e nf/zxFPO6 -e ksqw -e mzkr "$TMP/berlin.log" || fail "a secret is in the log"

say "the portal is away, and the tunnel stays"
joined=$(grep -c 'signed in' "$TMP/berlin.log")
ctl stop >/dev/null
client_says berlin 5 "hiccup: "
[[ $(addresses berlin) == "$at_first" ]] || fail "the tunnel went with the portal"
ctl start >/dev/null
client_says berlin 8 "signed in" $((joined + 1))

say "SIGHUP: the same key, the same connection; SIGUSR1: counters"
key=$(gateway_key)
kill -HUP "${CLIENT_PID[berlin]}"
client_says berlin 3 "SIGHUP: "
kill -USR1 "${CLIENT_PID[berlin]}"
client_says berlin 3 " counter "
[[ $(gateway_key) == "$key" ]] || fail "the key is another one after SIGHUP"
[[ $(grep -c 'signed in' "$TMP/berlin.log") -eq $((joined + 1)) ]] || fail "SIGHUP made a new connection"

say "the gateway's addresses change"
ctl address device='device berlin' ipv4=100.64.9.9 >/dev/null
client_says berlin 5 "our addresses are 100.64.9.9"
[[ $(addresses berlin) == "$(printf '%s\n' 100.64.9.9/32 "${at_first#*$'\n'}" | sort)" ]] || fail "the addresses are $(addresses berlin), after $at_first"
client_end berlin 0

say "an invalid token: 77; with FIREZONE_COMPAT_EXIT: 1"
gateway_start nobody g "$api"
client_end nobody 77
gateway_start nobody2 g "$api" FIREZONE_COMPAT_EXIT=true
client_end nobody2 1

say "--exit: 0 as soon as the tunnel is up"
gateway_start brief g "$api" -- --exit
finish "${CLIENT_PID[brief]}" 10 || fail "--exit ended with $?"
client_says brief 1 "is up: "

say "a partition that lasts longer than wanted: 1"
gateway_start brief g "$api" FIREZONE_MAX_PARTITION_TIME=2s
client_says brief 5 "signed in"
ctl stop >/dev/null
client_end brief 1 15
ctl start >/dev/null

kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end
