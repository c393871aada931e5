#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What a client asks of SRV and TXT of a resource's name goes through the tunnel to the gateway's DNS service, and on to the resolver that
# only the gateway's host has.
#
#     [c1] == [c1_1] == [core] == [g1_1] == [g1]     and [s], portal, relay and resolver, at core
#
# shellcheck source=tests/support/netns.sh
. "$(dirname "$0")/support/netns.sh"
# shellcheck source=tests/support/portal.sh
. "$(dirname "$0")/support/portal.sh"
# shellcheck source=tests/support/nat.sh
. "$(dirname "$0")/support/nat.sh"
# shellcheck source=tests/support/p2p.sh
. "$(dirname "$0")/support/p2p.sh"
rig_begin 60
require_impl ours
need python3

P2P_CONFIG='[resource Services]
type = dns
address = **.svc.test
site = S1
'
p2p_begin 1
nat_host c1 easy
nat_host g1 easy
spawn dns s python3 "$ROOT/tests/support/dns_server.py" "${NAT_ADDR4[s]},${NAT_ADDR6[s]}" "$TMP/dns-flags" "_ldap.svc.test=192.0.2.1"
eventually 5 grep -qx ready "$TMP/dns.log" || fail "the resolver does not start: $(cat "$TMP/dns.log")"
printf 'nameserver %s\n' "${NAT_ADDR4[s]}" >"$TMP/resolv.conf"
p2p_gateway 1
: >"$TMP/none" # the client's host has no resolver
CLIENT_MOUNTS="mount --bind $TMP/none /etc/resolv.conf" p2p_client 1

# asks udp|tcp NAME TYPE: prints the answer's code
asks() {
    in_ns c1 python3 - "$@" <<'PY'
import socket, struct, sys
transport, name, kind = sys.argv[1], sys.argv[2], int(sys.argv[3])
query = struct.pack("!HHHHHH", 4660, 0x100, 1, 0, 0, 0)
query += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0" + struct.pack("!HH", kind, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM)
s.settimeout(12)
s.connect(("100.100.111.1", 53))
if transport == "tcp":
    s.sendall(struct.pack("!H", len(query)) + query)
    s.recv(2)
else:
    s.send(query)
answer = s.recv(2000)
assert answer[:2] == query[:2], answer
print(answer[3] & 15)
PY
}
expect() { # CODE udp|tcp NAME TYPE
    local code
    code=$(asks "${@:2}") || fail "no answer for ${*:2}: $(tail -n 30 "$TMP/c1.log" "$TMP/g1.log")"
    [[ $code == "$1" ]] || fail "${*:2} is answered with $code, not $1"
}

say "SRV and TXT, by UDP and TCP"
expect 0 udp _ldap.svc.test 33
expect 0 tcp _ldap.svc.test 33
expect 3 udp none.svc.test 16
expect 3 tcp none.svc.test 16
for line in "udp 33 _ldap.svc.test" "tcp 33 _ldap.svc.test" "udp 16 none.svc.test" "tcp 16 none.svc.test"; do
    grep -qx "$line" "$TMP/dns.log" || fail "the gateway's resolver was not asked: $line: $(cat "$TMP/dns.log")"
done
kill -USR1 "${CLIENT_PID[g1]}"
client_says g1 3 "counter dns_passed_on=4"

say "the resolver is silent: SERVFAIL"
echo silent-udp >"$TMP/dns-flags"
expect 2 udp _ldap.svc.test 33
p2p_end 1
rig_end
