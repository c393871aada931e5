# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# For net tests with clients and gateways behind NATs, a relay and the portal; sourced after netns.sh, portal.sh and nat.sh.
#
#     [c1] == [c1_1] == . . . . . . == [g1_1] == [g1]      a client, a gateway, each behind its router (nat.sh)
#                      [   core    ]
#                        == [s_1] == [s]                   portal and relay, public
#
#   p2p_begin N [ARGUMENT...]       makes core and s; the portal knows N clients, gateways and resources; ARGUMENTs are fzrelay's
#   p2p_portal N                    the same without a relay; $P2P_CONFIG, if set, goes into the portal's configuration, too
#   relay_start HOST [ARGUMENT...]  another relay; relay_ctl HOST COMMAND..., relay_end HOST. That of p2p_begin is at s
#   p2p_gateway I [VARIABLE=VALUE...]  firezone-gateway on the host gI, for resource 10.20.I.0/24, of which gI has 10.20.I.1;
#                                   I of 1 to N. Log: $TMP/gI.log
#   p2p_client I [VARIABLE=VALUE...] [-- ARGUMENT...]   the client on the host cI, up; log: $TMP/cI.log
#   p2p_end I                       ends both, without errors
#
# The host gI also has a route back into its tunnel, as the gateway makes it.

FZRELAY=${FZ_RELAY:-$BUILD/fzrelay}

declare -A RELAY_PID=()

p2p_begin() { # N ARGUMENT...
    p2p_portal "$1"
    relay_start s "${@:2}"
}

p2p_portal() { # N
    local n=$1 i
    nat_begin
    nat_host s none
    {
        printf '[portal]\nseed = p2p\n[relay-token relays]\ntoken = .relay\n'
        for ((i = 1; i <= n; i++)); do
            printf '[client-token c%d]\ntoken = .client-c%d\n[gateway-token g%d]\ntoken = .gateway-g%d\nsite = S%d\n[site S%d]\n' $i $i $i $i $i $i
            printf '[resource L%d]\ntype = cidr\naddress = 10.20.%d.0/24\nsite = S%d\n' $i $i $i
        done
        printf '%s' "${P2P_CONFIG:-}"
    } | portal_config
    p2p_portal_start
}

p2p_portal_start() {
    portal_start s --listen "${NAT_ADDR4[s]}:8081" --listen "[${NAT_ADDR6[s]}]:8081"
}

relay_start() { # HOST ARGUMENT...
    local host=$1 log=$TMP/relay-$1.log
    shift
    : >"$log"
    spawn "relay-$host" "$host" "$FZRELAY" --public-ip4 "${NAT_ADDR4[$host]}" --public-ip6 "${NAT_ADDR6[$host]}" \
        --control "$TMP/relay-$host.sock" --portal-url "ws://${NAT_ADDR4[s]}:8081" --token .relay "$@"
    RELAY_PID[$host]=$SPAWNED
    eventually 5 grep -qx ready "$log" || fail "fzrelay does not start: $(cat "$log")"
    eventually 5 grep -q "signed in" "$log" || fail "fzrelay is not signed in: $(cat "$log")"
}

relay_end() { # HOST
    kill -TERM "${RELAY_PID[$1]}"
    finish "${RELAY_PID[$1]}" 5 || fail "fzrelay ended with $? after SIGTERM"
}

relay_ctl() { # HOST ARGUMENT...
    timeout 10 "$FZRELAY" ctl --control "$TMP/relay-$1.sock" "${@:2}" >"$TMP/ctl" 2>&1 || fail "fzrelay ctl ${*:2}: $(cat "$TMP/ctl")"
}

# The portal as a host of this family reaches it.
p2p_url() { # NAME
    if [[ ${NAT_FAMILY[$1]} == v6 ]]; then
        printf 'ws://[%s]:8081' "${NAT_ADDR6[s]}"
    else
        printf 'ws://%s:8081' "${NAT_ADDR4[s]}"
    fi
}

p2p_gateway() { # I VARIABLE=VALUE...
    local i=$1 name=g$1
    shift
    ip -n "$(ns "$name")" address replace "10.20.$i.1/32" dev lo
    gateway_start "$name" "$name" FIREZONE_API_URL="$(p2p_url "$name")" "$@"
    client_says "$name" 10 "is up: "
}

p2p_client() { # I VARIABLE=VALUE... -- ARGUMENT...
    local i=$1
    shift
    client_start "c$i" "c$i" FIREZONE_API_URL="$(p2p_url "c$i")" "$@"
    client_says "c$i" 10 "is up: "
}

p2p_end() { # I
    client_end "c$1" 0
    client_end "g$1" 0
}

# p2p_pair I CLIENT_KIND GATEWAY_KIND: hosts and programs
p2p_pair() {
    local -a of_client of_gateway
    read -ra of_client <<<"$2"
    read -ra of_gateway <<<"$3"
    nat_host "c$1" "${of_client[@]}"
    nat_host "g$1" "${of_gateway[@]}"
    p2p_gateway "$1"
    p2p_client "$1"
}

# p2p_ping I [COUNT]: through the tunnel; the first packet asks for access
p2p_ping() {
    in_ns "c$1" ping -q -c "${2:-3}" -i 0.2 -W 4 "10.20.$1.1" >"$TMP/ping" ||
        fail "no way from c$1 to 10.20.$1.1: $(cat "$TMP/ping"); $(tail -n 60 "$TMP/c$1.log" "$TMP/g$1.log")"
}

# p2p_path I: how the client sends now, "peer to peer" or otherwise
p2p_path() {
    sed -nE 's/.*(connected to gateway [-0-9a-f]+,|the path to gateway [-0-9a-f]+ is now) ([a-z ]+):.*/\2/p' "$TMP/c$1.log" | tail -n 1
}

p2p_path_is() { # I TEXT
    [[ $(p2p_path "$1") == "$2" ]]
}

p2p_expect() { # I SECONDS TEXT
    eventually "$2" p2p_path_is "$1" "$3" || fail "c$1 goes $(p2p_path "$1") and not $3: $(tail -n 60 "$TMP/c$1.log" "$TMP/g$1.log")"
}

# p2p_load I BYTES: a TCP transfer through the tunnel, in both directions
p2p_load() {
    spawn "iperf$1" "g$1" timeout 30 iperf3 -s -B "10.20.$1.1" -1
    local server=$SPAWNED
    eventually 5 in_ns "g$1" sh -c "ss -Hltn | grep -q :5201" || fail "iperf3 does not start"
    in_ns "c$1" iperf3 -c "10.20.$1.1" -n "$2" --bidir >"$TMP/iperf" 2>&1 || fail "no TCP from c$1: $(cat "$TMP/iperf")"
    finish "$server" 5 || fail "the iperf3 server ended with $?"
}
