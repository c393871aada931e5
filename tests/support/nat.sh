# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2046 # addresses are words
#
# Hosts behind routers, for the net tests; sourced after netns.sh.
#
#     [a] eth1 === lan [a_1] wan === a_1 [core] b_1 === wan [b_1] lan === eth1 [b]
#      :                                   :
#      '.eth2 .... lan [a_2] wan ..... a_2.'          after nat_swap a
#
#   nat_begin                                  makes core, the internet
#   nat_host NAME KIND [OPTION...]             makes NAME and its router NAME_1
#   nat_second NAME                            a second uplink besides: eth2 and NAME_2; no default route leads there
#
# KIND is what the router does with IPv4; IPv6 is routed by all of them:
#   none    routes: the host's address is public
#   easy    translates as home routers do: the port stays, so the mapping is the same for all destinations; only who was sent
#           something may answer (RFC 4787: endpoint-independent mapping, address and port-dependent filtering)
#   cone    the same mapping, and everybody may send to it (endpoint-independent filtering)
#   hard    another port for every destination (address and port-dependent mapping and filtering)
#
# OPTION: v4, v6 or dual (which families there are; dual), mtu=N (wan, 1500), lan_mtu=N (1500), lan=N (the IPv4 net of the
# host is 192.0.N.0/24, which others may have, too; not for `none`).
#
# ${NAT_ADDR4[NAME]} and ${NAT_ADDR6[NAME]} are the host's addresses, ${NAT_OUTER4[NAME]} the one that core sees, ${NAT_AT[NAME]} the
# number of its router. These change with nat_swap and nat_readdress.
#
# Host number I has the nets 20+I at router 1 and 50+I at router 2, whose uplinks have the nets 120+I and 150+I: net N is
# 192.0.N.0/24 and 2001:db8:N::/64. The router is number 1 in its host's net and number 2 in its uplink's.

declare -A NAT_KIND=() NAT_FAMILY=() NAT_NUMBER=() NAT_MTU=() NAT_LAN_MTU=() NAT_LAN=() NAT_ROUTERS=() NAT_LAST=()
declare -A NAT_AT=() NAT_ADDR4=() NAT_ADDR6=() NAT_OUTER4=() NAT_REJECTS=()
NAT_DROPS=

nat_begin() {
    command -v nft >/dev/null || fail "nft is not installed"
    ns_add core
    ns_forward core
}

nat_host() { # NAME KIND [OPTION...]
    local name=$1 kind=$2 it
    shift 2
    [[ $name =~ ^[a-z][a-z0-9]{0,11}$ ]] || fail "nat_host: '$name' is no name for a host and its devices"
    [[ -z ${NAT_KIND[$name]:-} ]] || fail "nat_host: there is a $name already"
    [[ $kind =~ ^(none|easy|cone|hard)$ ]] || fail "nat_host: unknown kind '$kind'"
    [[ ${#NAT_KIND[@]} -lt 29 ]] || fail "nat_host: there are no nets for more hosts"
    NAT_KIND[$name]=$kind NAT_FAMILY[$name]=dual NAT_MTU[$name]=1500 NAT_LAN_MTU[$name]=1500 NAT_LAST[$name]=2
    NAT_NUMBER[$name]=${#NAT_KIND[@]}
    for it in "$@"; do
        case $it in
        v4 | v6 | dual) NAT_FAMILY[$name]=$it ;;
        mtu=*) NAT_MTU[$name]=${it#*=} ;;
        lan_mtu=*) NAT_LAN_MTU[$name]=${it#*=} ;;
        lan=*) NAT_LAN[$name]=${it#*=} ;;
        *) fail "nat_host: unknown option '$it'" ;;
        esac
    done
    [[ $kind != none || -z ${NAT_LAN[$name]:-} ]] || fail "nat_host: lan= is for hosts that are not public"
    [[ ${NAT_FAMILY[$name]} == v4 || ${NAT_MTU[$name]} -ge 1280 && ${NAT_LAN_MTU[$name]} -ge 1280 ]] ||
        fail "nat_host: IPv6 has an MTU of at least 1280"
    ns_add "$name"
    nat_router "$name" 1
    nat_join "$name" 1
}

nat_second() { # NAME
    nat_router "$1" 2
    nat_device eth2 $(nat_lan "$1" 2 "${NAT_LAST[$1]}") | ip -n "$(ns "$1")" -batch -
    nat_rules "$1"
}

# ---- changes ----

# nat_swap NAME: the host's device goes down, another one comes up, which leads to another router of the same kind
nat_swap() {
    local name=$1 from=${NAT_AT[$1]} to
    to=$((3 - from))
    [[ ${NAT_ROUTERS[$name]} -ge $to ]] || nat_router "$name" "$to"
    ip -n "$(ns "$name")" address flush dev "eth$from" scope global
    ip -n "$(ns "$name")" link set "eth$from" down
    nat_join "$name" "$to"
}

# nat_readdress NAME: the host gets addresses that it never had, of the same nets
nat_readdress() {
    local name=$1
    [[ ${NAT_LAST[$name]} -lt 250 ]] || fail "nat_readdress: $name has had all addresses"
    ip -n "$(ns "$name")" address flush dev "eth${NAT_AT[$name]}" scope global
    NAT_LAST[$name]=$((NAT_LAST[$name] + 1))
    nat_join "$name" "${NAT_AT[$name]}"
}

# nat_drop A B: no UDP between the two, at whichever routers they are
nat_drop() {
    local it
    for it in "$1 $2" "$2 $1"; do
        [[ $'\n'$NAT_DROPS == *$'\n'"$it"$'\n'* ]] || NAT_DROPS+=$it$'\n'
    done
    nat_core_rules
}

nat_undrop() { # A B
    NAT_DROPS=$(grep -vxF -e "$1 $2" -e "$2 $1" <<<"$NAT_DROPS" || true)
    NAT_DROPS=${NAT_DROPS:+$NAT_DROPS$'\n'}
    nat_core_rules
}

# nat_reject NAME ADDRESS PORT: the host's router answers its UDP to there with an ICMP port unreachable
nat_reject() {
    local family=ip
    [[ $2 != *:* ]] || family=ip6
    NAT_REJECTS[$1]+="iifname lan $family daddr $2 udp dport $3 reject with icmpx port-unreachable"$'\n'
    nat_rules "$1"
}

nat_unreject() { # NAME: all of them
    NAT_REJECTS[$1]=
    nat_rules "$1"
}

# ---- how it is made ----

# nat_addresses NAME NET HOST: what the host's families have of NET, without the length
nat_addresses() {
    [[ ${NAT_FAMILY[$1]} == v6 ]] || printf '192.0.%d.%d\n' "$2" "$3"
    [[ ${NAT_FAMILY[$1]} == v4 ]] || printf '2001:db8:%d::%x\n' "$2" "$3"
}

# nat_device DEVICE ADDRESS...: orders for `ip -batch` that give it these addresses
nat_device() {
    local device=$1 it
    shift
    for it in "$@"; do
        case $it in
        *:*) echo "address add $it/64 dev $device nodad" ;;
        *) echo "address add $it/24 dev $device" ;;
        esac
    done
    echo "link set $device up"
}

# nat_routes VERB NET VIA...: orders that route to the net, or by default
nat_routes() {
    local verb=$1 net=$2 it
    shift 2
    for it in "$@"; do
        echo "route $verb $net via $it"
    done
}

# nat_lan NAME ROUTER HOST: addresses of the host's net
nat_lan() {
    local net=$((${NAT_NUMBER[$1]} + ($2 == 1 ? 20 : 50)))
    if [[ $2 -eq 1 && -n ${NAT_LAN[$1]:-} ]]; then
        nat_addresses "$1" "${NAT_LAN[$1]}" "$3" | grep -v : || true
        nat_addresses "$1" $net "$3" | grep : || true
    else
        nat_addresses "$1" $net "$3"
    fi
}

nat_wan() { # NAME ROUTER HOST: addresses of the router's uplink
    nat_addresses "$1" $((${NAT_NUMBER[$1]} + ($2 == 1 ? 120 : 150))) "$3"
}

# nat_router NAME NUMBER: the router, its uplink, and its link to the host, whose end is down
nat_router() {
    local name=$1 number=$2 router=$1_$2 it
    local -a lan wan core
    mapfile -t lan < <(nat_lan "$name" "$number" 1)
    mapfile -t wan < <(nat_wan "$name" "$number" 2)
    mapfile -t core < <(nat_wan "$name" "$number" 1)
    ns_add "$router"
    ns_forward "$router"
    ip -batch - <<IP
link add $router mtu ${NAT_MTU[$name]} netns $(ns core) type veth peer name wan mtu ${NAT_MTU[$name]} netns $(ns "$router")
link add lan mtu ${NAT_LAN_MTU[$name]} netns $(ns "$router") type veth peer name eth$number mtu ${NAT_LAN_MTU[$name]} netns $(ns "$name")
IP
    {
        nat_device wan "${wan[@]}"
        nat_device lan "${lan[@]}"
        nat_routes add default "${core[@]}"
    } | ip -n "$(ns "$router")" -batch -
    {
        nat_device "$router" "${core[@]}"
        # What is translated has no route in the internet.
        for it in "${lan[@]}"; do
            case $it in
            *:*) nat_routes add "${it%1}/64" "$(nat_of :: "${wan[@]}")" ;;
            *) [[ ${NAT_KIND[$name]} != none ]] || nat_routes add "${it%1}0/24" "$(nat_of 0.0.0.0 "${wan[@]}")" ;;
            esac
        done
    } | ip -n "$(ns core)" -batch -
    NAT_ROUTERS[$name]=$number
}

# nat_of ADDRESS CANDIDATE...: the one of the same family
nat_of() {
    local it like=$1
    shift
    for it in "$@"; do
        [[ $like == *:* && $it != *:* || $like != *:* && $it == *:* ]] || printf '%s' "$it"
    done
}

nat_join() { # NAME ROUTER: gives the host its addresses and routes
    local name=$1 number=$2
    local -a mine
    mapfile -t mine < <(nat_lan "$name" "$number" "${NAT_LAST[$name]}")
    {
        nat_device "eth$number" "${mine[@]}"
        nat_routes replace default $(nat_lan "$name" "$number" 1)
    } | ip -n "$(ns "$name")" -batch -
    NAT_AT[$name]=$number
    NAT_ADDR4[$name]=$(nat_of 0.0.0.0 "${mine[@]}")
    NAT_ADDR6[$name]=$(nat_of :: "${mine[@]}")
    NAT_OUTER4[$name]=${NAT_ADDR4[$name]}
    [[ ${NAT_KIND[$name]} == none ]] || NAT_OUTER4[$name]=$(nat_of 0.0.0.0 $(nat_wan "$name" "$number" 2))
    nat_rules "$name"
}

# nat_load NS: replaces its rules by those of the standard input, in one step; the mappings that there are stay
nat_load() {
    {
        printf 'table inet fz_nat\ndelete table inet fz_nat\ntable inet fz_nat {\n'
        cat
        printf '}\n'
    } >"$TMP/nat.nft"
    in_ns "$1" nft -f "$TMP/nat.nft" 2>"$TMP/nat.err" ||
        fail "nftables does not do here what $1 needs: $(head -n 3 "$TMP/nat.err" | tr '\n' ' ')"
}

nat_rules() { # NAME
    local name=$1 kind=${NAT_KIND[$1]} number how=
    [[ $kind != hard ]] || how=random,fully-random
    for ((number = 1; number <= NAT_ROUTERS[$name]; number++)); do
        {
            if [[ $kind != none && ${NAT_FAMILY[$name]} != v6 ]]; then
                # UDP for nobody gets no answer from the router itself, nor an entry: that entry would take the port from the
                # mapping that the host is about to make with its own datagram to the same sender.
                cat <<RULES
                chain postrouting { type nat hook postrouting priority srcnat; policy accept;
                    oifname wan meta nfproto ipv4 masquerade $how
                }
                chain input { type filter hook input priority filter; policy accept;
                    iifname wan meta nfproto ipv4 meta l4proto udp drop
                }
RULES
            fi
            if [[ $kind == cone && $number -eq ${NAT_AT[$name]} && -n ${NAT_ADDR4[$name]} ]]; then
                cat <<RULES
                chain prerouting { type nat hook prerouting priority dstnat; policy accept;
                    iifname wan meta nfproto ipv4 udp dport 1024-65535 dnat ip to ${NAT_ADDR4[$name]}
                }
RULES
            fi
            printf 'chain forward { type filter hook forward priority filter; policy accept;\n%s}\n' "${NAT_REJECTS[$name]:-}"
        } | nat_load "${name}_$number"
    done
}

nat_core_rules() {
    local a b
    {
        printf 'chain forward { type filter hook forward priority filter; policy accept;\n'
        while read -r a b; do
            [[ -z $a ]] || echo "iifname { ${a}_1, ${a}_2 } oifname { ${b}_1, ${b}_2 } meta l4proto udp drop"
        done <<<"$NAT_DROPS"
        printf '}\n'
    } | nat_load core
}
