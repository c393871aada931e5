#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The client against the development portal: it signs in over TLS with a private CA, lists its resources, brings the tunnel
# up and keeps it while the portal is away, follows the portal to another address, and ends as its exit codes say.
#
#     [c] ===== [p] ===== [d]     clients, portal.test, a client elsewhere
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh
. "$(dirname "$0")/support/portal.sh"
rig_begin 90
need openssl nft socat unshare

require_impl ours
ns_add c d p
link c p 1
link d p 2
ip -n "$(ns d)" route add 192.0.1.0/24 via 192.0.2.2
address p p-c 192.0.1.3/24
# Written over, as the file is mounted where it is read.
portal_at() { # ADDRESS...
    printf '127.0.0.1 localhost\n' >"$TMP/hosts"
    printf '%s portal.test\n' "$@" >>"$TMP/hosts"
}
portal_at 192.0.1.2 2001:db8:1::2

(
    cd "$TMP"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=test CA' -keyout ca.key -out ca.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=portal.test -keyout portal.key -out portal.csr
    printf 'subjectAltName=DNS:portal.test\n' >san
    openssl x509 -req -in portal.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out portal.pem
) >"$TMP/openssl" 2>&1 || fail "no certificates: $(cat "$TMP/openssl")"

portal_config <<'INI'
[portal]
connect_limit = no
[account acme]
[client-token laptop]
token = .client-laptop
[client-token brief]
token = .client-brief
lifetime = 1h
[client-token patient]
token = .client-patient
[site Frankfurt]
[site Internet]
[resource Git]
type = dns
address = *.git.corp.example
site = Frankfurt
[resource Lab]
type = cidr
address = 10.20.0.0/16
filters = tcp/443, icmp
site = Frankfurt
[resource Everything]
type = internet
site = Internet
[relay static]
ipv4 = 203.0.113.7
ipv6 = 2001:db8::7
stamp_secret = 4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab
INI
portal_start p --listen 0.0.0.0:8443 --listen '[::]:8443' --tls-cert "$TMP/portal.pem" --tls-key "$TMP/portal.key"
api=(FIREZONE_API_URL=wss://portal.test:8443 FIREZONE_CA_FILE="$TMP/ca.pem")

# Not one packet to the portal without the mark.
in_ns c nft -f - <<'NFT'
table inet guard {
    counter with_mark { }
    counter without_mark { }
    chain outgoing {
        type filter hook output priority 0
        tcp dport 8443 meta mark 0xfd002021 counter name with_mark
        tcp dport 8443 meta mark != 0xfd002021 counter name without_mark
    }
}
NFT
packets() { # COUNTER
    in_ns c nft list counter inet guard "$1" | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}

say "a private CA is needed, and the name counts"
client_start brief c FIREZONE_API_URL=wss://portal.test:8443
client_says brief 5 X509_V_ERR
kill -TERM "${CLIENT_PID[brief]}"
client_end brief 0
: >"$TMP/brief.log"

say "the system's store: its CAs count, with a private one beside them, too"
mkdir "$TMP/store"
cp "$TMP/ca.pem" "$TMP/store/$(openssl x509 -in "$TMP/ca.pem" -noout -subject_hash).0"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=other CA' \
    -keyout "$TMP/other.key" -out "$TMP/other.pem" >>"$TMP/openssl" 2>&1 || fail "no certificate: $(cat "$TMP/openssl")"
for ca_file in '' "$TMP/other.pem"; do
    client_start brief c FIREZONE_API_URL=wss://portal.test:8443 ${ca_file:+FIREZONE_CA_FILE="$ca_file"}
    client_says brief 5 X509_V_ERR # not among the system's, so far
    kill -TERM "${CLIENT_PID[brief]}"
    client_end brief 0
    : >"$TMP/brief.log"
    CLIENT_MOUNTS="mount --bind $TMP/store /etc/ssl/certs"
    client_start brief c FIREZONE_API_URL=wss://portal.test:8443 ${ca_file:+FIREZONE_CA_FILE="$ca_file"}
    CLIENT_MOUNTS=
    client_says brief 5 "init received"
    client_end brief 0
    : >"$TMP/brief.log"
done

say "sign-in, init, resources, tunnel, readiness"
spawn notify c socat -u "UNIX-RECV:$TMP/notify" "OPEN:$TMP/notified,creat,append"
eventually 3 test -S "$TMP/notify" || fail "no notification socket"
client_start laptop c "${api[@]}" NOTIFY_SOCKET="$TMP/notify" FIREZONE_LOG=info,portal=debug
client_says laptop 5 "init received: 3 resources, 1 relay"
client_says laptop 1 "resource 'Git' (dns *.git.corp.example) in site Frankfurt: new"
client_says laptop 1 "resource 'Lab' (cidr 10.20.0.0/16) in site Frankfurt: new"
client_says laptop 1 "resource 'Internet Resource' (internet) in site Internet: new"
client_says laptop 1 "relay 203.0.113.7:3478 and [2001:db8::7]:3478: new"
client_says laptop 3 "is up: "
eventually 3 grep -q READY=1 "$TMP/notified" || fail "no READY=1: $(cat "$TMP/notified")"
addresses() {
    ip -n "$(ns c)" -o address show dev "$(tun laptop)" scope global | awk '{ print $4 }' | sort
}
before=$(addresses)
[[ $before == *100.*/32* && $before == *fd00:2021:1111:*/128* ]] || fail "the addresses in the tunnel are: $before"
ctl state part=devices | grep -q 'device laptop' || fail "the portal does not know the device's name: $(cat "$TMP/ctl")"

say "changes of resources"
ctl resource_add name=Wiki type=dns address=wiki.corp.example site=Frankfurt >/dev/null
client_says laptop 3 "resource 'Wiki' (dns wiki.corp.example) in site Frankfurt: new"
ctl resource_change name=Wiki address_description=docs >/dev/null
client_says laptop 3 "resource 'Wiki' (dns wiki.corp.example) in site Frankfurt: changed"
ctl resource_remove name=Wiki >/dev/null
client_says laptop 3 "resource 'Wiki' (dns wiki.corp.example) in site Frankfurt: no longer ours"
ctl send role=client event=nobody_knows >/dev/null
ctl send role=client event=resource_deleted payload=7 >/dev/null
client_says laptop 3 "a message is dropped: resource_deleted: payload: not a UUID"
ctl init all=true >/dev/null # says nothing new
client_says laptop 3 "init received: 3 resources, 1 relay" 2
[[ $(grep -c "'Git'" "$TMP/laptop.log") -eq 1 ]] || fail "an equal init reports its resources again"

say "the portal is away, and the tunnel stays"
ctl stop >/dev/null
client_says laptop 5 "hiccup: "
[[ $(addresses) == "$before" ]] || fail "the tunnel went with the portal"
ctl start >/dev/null
client_says laptop 8 "signed in" 2

say "the portal moves to another address"
portal_at 192.0.1.3
ctl kick all=true >/dev/null
client_says laptop 5 "connected to 192.0.1.3:8443"
client_says laptop 5 "signed in" 3

say "SIGHUP: another key, the same addresses"
public_key() {
    ctl state part=devices | sed -n 's/.*"public_key": "\(.*\)".*/\1/p'
}
key=$(public_key)
[[ -n $key ]] || fail "the portal tells no key: $(cat "$TMP/ctl")"
kill -HUP "${CLIENT_PID[laptop]}"
client_says laptop 5 "signed in" 4
[[ $(public_key) != "$key" ]] || fail "the key is the same after SIGHUP"
[[ $(addresses) == "$before" ]] || fail "the addresses changed with SIGHUP"

say "the device's addresses change"
ctl address device='device laptop' ipv4=100.64.9.9 >/dev/null
client_says laptop 5 "our addresses are 100.64.9.9"
[[ $(addresses) == "$(printf '%s\n' 100.64.9.9/32 "${before#*$'\n'}" | sort)" ]] || fail "the addresses are $(addresses), after $before"
[[ $(grep -c ' is up: ' "$TMP/laptop.log") -eq 1 ]] || fail "the tunnel came up anew"

say "one client per network"
client_start third c "${api[@]}" FIREZONE_TOKEN=.client-brief
client_end third 1
client_says third 1 "another Firezone client or gateway (process ${CLIENT_PID[laptop]}) runs on this network; stop it first"

say "a second client with the same token and id takes its place: 77"
client_start second d "${api[@]}" FIREZONE_TOKEN=.client-laptop FIREZONE_ID=id-of-laptop
client_says second 5 "init received"
client_end laptop 77
grep -q 'token' <(tail -n 2 "$TMP/laptop.log") || fail "the last line does not say why: $(tail -n 2 "$TMP/laptop.log")"
! ip -n "$(ns c)" link show "$(tun laptop)" >/dev/null 2>&1 || fail "the device is left behind"
client_end second 0

say "an invalid token: 77; with FIREZONE_COMPAT_EXIT: 1"
client_start nobody c "${api[@]}"
client_end nobody 77
client_start nobody2 c "${api[@]}" FIREZONE_COMPAT_EXIT=true
client_end nobody2 1

say "a token that expires: 77"
client_start brief c "${api[@]}"
client_says brief 5 "init received"
ctl expire token=brief >/dev/null
client_end brief 77

say "--exit: 0 as soon as the tunnel is up; over IPv6"
portal_at 2001:db8:1::2
client_start patient c "${api[@]}" -- --exit
finish "${CLIENT_PID[patient]}" 10 || fail "--exit ended with $?"
client_says patient 1 "is up: "

say "a partition that lasts longer than wanted: 1"
client_start patient c "${api[@]}" MAX_PARTITION_TIME=2s
client_says patient 5 "signed in"
ctl stop >/dev/null
client_end patient 1 15
grep -q 'refused' <(tail -n 1 "$TMP/patient.log") || fail "the last line does not say why: $(tail -n 2 "$TMP/patient.log")"
ctl start >/dev/null

[[ $(packets with_mark) -gt 0 ]] || fail "the portal was reached without a packet"
[[ $(packets without_mark) -eq 0 ]] || fail "$(packets without_mark) packets to the portal were not marked"

kill -TERM "$PORTAL_PID"
finish "$PORTAL_PID" 5 || fail "fzportal ended with $?"
rig_end
