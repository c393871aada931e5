# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# For net tests of resources with names; sourced after netns.sh, portal.sh, nat.sh and p2p.sh.
#
#     [c1] == [c1_1] == . . . . == [g1_1] == [g1] -- [n1]     a client; a gateway, and the private net behind it
#                      [  core  ]
#                        == [s_1] == [s]                      portal, relay, and the DNS server of the client's network
#
#   names_begin CLIENT_KIND GATEWAY_KIND [ARGUMENT...]   hosts, servers, portal and relay; kinds as nat_host has them ("easy v4");
#                                   ARGUMENTs are fzrelay's. $NAMES_POLICIES and $NAMES_RESOURCES, if set, go into the portal's configuration
#   names_gateway NAME [VARIABLE=VALUE...]    firezone-gateway on g1, up; its resolver is in the private net. NAME: g1 or another
#                                   token of the same site, h1
#   names_client [VARIABLE=VALUE...] [-- ARGUMENT...]    the client on c1, up, the system's DNS in its hands
#   names_end                       ends both, without errors
#   names_serve HOST KIND [LINE...]  another DNS server in place of the one that n1 or s has: own (dns_server.py), unbound or dnsmasq,
#                                   with these lines in its configuration, besides the records in ${NAMES_RECORDS[HOST]}
#   names_has unbound|dnsmasq       it can be run here
#
#   app COMMAND...                  runs it on c1 as a program there sees the world: with the client's /etc/resolv.conf
#   names_ask SERVER udp|tcp NAME TYPE...   the answers, a line each (dns_ask.py); SERVER "stub": the first one that c1 has
#   names_fetch NAME BYTES [PORT] [FILE]    downloads by name and checks the sum; prints the address it came from
#   names_connects NAME PORT HOW [4|6]    what becomes of a connection by IPv4 or IPv6: open, refused, silence, no-net, no-host,
#                                   prohibited
#   names_pings NAME [4|6]          three answers of three, by name
#
# The private net is 10.40.1.0/24 and fd40:1::/64. n1 has no route to anywhere else: what is not masqueraded is not answered. It has
# the DNS server 10.40.1.53, and a web server at ports 80 and 8080 of
#
#   web.corp.test      10.40.1.10 and fd40:1::10    resource Web
#   app.corp.test      10.40.1.11                   resource App, which only allows tcp/80 and icmp
#   six.corp.test      fd40:1::12                   resource Six
#   a.many.corp.test   10.40.1.13                   resource Many, *.many.corp.test
#   b.many.corp.test   10.40.1.14                   the same
#   c.many.corp.test   10.40.1.13                   the same, and the address of a
#   hidden.corp.test   10.40.1.15                   resource Hidden, which no policy names
#   shut.corp.test     10.40.1.16                   resource Shut, whose policy is violated: shown, and refused
#                      10.40.1.0/26                 resource Lab, a CIDR
#
# besides SRV (_http._tcp.web.corp.test) and TXT (web.corp.test). Elsewhere: public.test, which is s, and what $NAMES_PUBLIC says.

# By host: the addresses of its DNS server, the server's records (the first is an A), its process
declare -A NAMES_AT=([n1]="10.40.1.53 fd40:1::53") NAMES_PID=() NAMES_RECORDS=(
    [n1]="web.corp.test=10.40.1.10 web.corp.test=fd40:1::10 web.corp.test=txt:by-gateway
    _http._tcp.web.corp.test=srv:1/2/80/web.corp.test app.corp.test=10.40.1.11 six.corp.test=fd40:1::12
    a.many.corp.test=10.40.1.13 b.many.corp.test=10.40.1.14 c.many.corp.test=10.40.1.13 hidden.corp.test=10.40.1.15 shut.corp.test=10.40.1.16")
NAMES_UNBOUND=$DEPS/tools/unbound
NAMES_WEB=(10.40.1.{10,11,13,14,15,16} fd40:1::10 fd40:1::12)

# ---- the net behind the gateway ----

names_private() {
    ns_add n1
    ip link add priv netns "$(ns g1)" type veth peer name eth0 netns "$(ns n1)"
    {
        echo "address add 10.40.1.1/24 dev priv"
        echo "address add fd40:1::1/64 dev priv nodad"
        echo "link set priv up"
    } | ip -n "$(ns g1)" -batch -
    {
        printf 'address add %s/24 dev eth0\n' 10.40.1.{10..16} 10.40.1.53
        printf 'address add %s/64 dev eth0 nodad\n' fd40:1::10 fd40:1::12 fd40:1::53
        echo "link set eth0 up"
    } | ip -n "$(ns n1)" -batch -
    local port
    for port in 80 8080; do
        spawn "web-$port" n1 python3 "$ROOT/tests/support/web.py" serve $port "${NAMES_WEB[@]}"
        eventually 10 grep -qx ready "$TMP/web-$port.log" || fail "no web server: $(cat "$TMP/web-$port.log")"
    done
    names_serve n1 own
}

# ---- DNS servers ----

names_has() { # KIND
    case $1 in
    dnsmasq) command -v dnsmasq >/dev/null ;;
    unbound) [[ -x $NAMES_UNBOUND/usr/sbin/unbound ]] && ! names_run_unbound ldd "$NAMES_UNBOUND/usr/sbin/unbound" | grep 'not found' >/dev/null ;;
    esac
}

names_run_unbound() { # COMMAND...: with the libraries that came with it
    LD_LIBRARY_PATH=$NAMES_UNBOUND/usr/lib/$(uname -m)-linux-gnu "$@"
}

names_serve() { # HOST KIND LINE...
    local host=$1 kind=$2 config=$TMP/dns-$1.conf
    shift 2
    if [[ ${NAMES_PID[$host]:-} ]]; then
        kill -TERM "${NAMES_PID[$host]}"
        finish "${NAMES_PID[$host]}" 5 || [[ $? -eq 143 ]] || fail "the DNS server of $host does not end"
    fi
    : >"$TMP/dns-$host.log"
    case $kind in
    own)
        # shellcheck disable=SC2086 # words
        spawn "dns-$host" "$host" python3 "$ROOT/tests/support/dns_server.py" "${NAMES_AT[$host]/ /,}" "$TMP/dns-$host.flags" ${NAMES_RECORDS[$host]}
        ;;
    unbound)
        { names_unbound "$host" && [[ $# -eq 0 ]] || printf '    %s\n' "$@"; } >"$config"
        names_run_unbound spawn "dns-$host" "$host" "$NAMES_UNBOUND/usr/sbin/unbound" -d -p -c "$config"
        ;;
    dnsmasq)
        { names_dnsmasq "$host" && [[ $# -eq 0 ]] || printf '%s\n' "$@"; } >"$config"
        spawn "dns-$host" "$host" dnsmasq --keep-in-foreground --conf-file="$config"
        ;;
    *) fail "names_serve: unknown server '$kind'" ;;
    esac
    NAMES_PID[$host]=$SPAWNED
    eventually 10 names_serves "$host" || fail "no DNS server at $host ($kind): $(cat "$TMP/dns-$host.log")"
}

names_serves() { # HOST: to itself
    local first=${NAMES_RECORDS[$1]%% *} at
    for at in ${NAMES_AT[$1]}; do
        [[ $(names_ask_in "$1" "$at" udp "${first%%=*}" A) == NOERROR* ]] || return 1
    done
}

names_unbound() { # HOST
    local it name data
    cat <<CONF
remote-control:
    control-enable: no
server:
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "$TMP"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
    local-zone: "." static
    local-zone: "test." static
    local-data: ". 60 SOA . . 1 3600 600 86400 60"
CONF
    # shellcheck disable=SC2086 # words
    printf '    interface: %s\n' ${NAMES_AT[$1]}
    for it in ${NAMES_RECORDS[$1]}; do
        name=${it%%=*} data=${it#*=}
        case $data in
        txt:*) printf '    local-data: "%s. 60 TXT %s"\n' "$name" "${data#*:}" ;;
        srv:*) printf '    local-data: "%s. 60 SRV %s."\n' "$name" "$(tr / ' ' <<<"${data#*:}")" ;;
        *:*) printf '    local-data: "%s. 60 AAAA %s"\n' "$name" "$data" ;;
        *) printf '    local-data: "%s. 60 A %s"\n' "$name" "$data" ;;
        esac
    done
}

names_dnsmasq() { # HOST
    local it name data priority weight port target
    printf '%s\n' no-resolv no-hosts bind-interfaces user=root group=root pid-file= log-facility=- local=/test/
    # shellcheck disable=SC2086 # words
    printf 'listen-address=%s\n' ${NAMES_AT[$1]}
    for it in ${NAMES_RECORDS[$1]}; do
        name=${it%%=*} data=${it#*=}
        case $data in
        txt:*) echo "txt-record=$name,${data#*:}" ;;
        srv:*)
            IFS=/ read -r priority weight port target <<<"${data#*:}"
            echo "srv-host=$name,$target,$port,$priority,$weight"
            ;;
        *) echo "host-record=$name,$data" ;;
        esac
    done
}

# ---- all of it ----

names_begin() { # CLIENT_KIND GATEWAY_KIND ARGUMENT...
    local -a of_client of_gateway
    read -ra of_client <<<"$1"
    read -ra of_gateway <<<"$2"
    P2P_CONFIG=$(names_config)$'\n'
    p2p_begin 1 "${@:3}"
    nat_host c1 "${of_client[@]}"
    nat_host g1 "${of_gateway[@]}"
    names_private
    NAMES_AT[s]="${NAT_ADDR4[s]} ${NAT_ADDR6[s]}"
    NAMES_RECORDS[s]="public.test=${NAT_ADDR4[s]} public.test=${NAT_ADDR6[s]} ${NAMES_PUBLIC:-}"
    names_serve s own
    # Of a host of one family, the server's address of that family.
    names_etc g1 "nameserver 10.40.1.53"
    if [[ ${NAT_FAMILY[c1]} == v6 ]]; then
        names_etc c1 "nameserver ${NAT_ADDR6[s]}"
    else
        names_etc c1 "nameserver ${NAT_ADDR4[s]}"
    fi
}

names_config() {
    local name
    printf '[gateway-token h1]\ntoken = .gateway-h1\nsite = S1\n'
    names_resource Web web.corp.test
    names_resource App app.corp.test "filters = tcp/80, icmp"
    names_resource Six six.corp.test
    names_resource Many '*.many.corp.test'
    names_resource Hidden hidden.corp.test
    names_resource Shut shut.corp.test
    printf '[resource Lab]\ntype = cidr\naddress = 10.40.1.0/26\nfilters = tcp/80\nsite = S1\n%s\n' "${NAMES_RESOURCES:-}"
    for name in Web App Six Many Lab; do
        printf '[policy %s]\ngroups = *\nresources = %s\n' "${name,,}" $name
    done
    printf '[policy shut]\ngroups = *\nresources = Shut\nviolates = remote_ip\n%s\n' "${NAMES_POLICIES:-}"
}

names_resource() { # NAME ADDRESS [LINE]
    printf '[resource %s]\ntype = dns\naddress = %s\nsite = S1\n%s\n' "$1" "$2" "${3:-}"
}

# names_etc HOST LINE...: an /etc for its programs, with these lines in resolv.conf. Not that of this machine: what a client puts
# beside that file would stay there.
names_etc() {
    local etc=$TMP/etc-$1
    mkdir -m 755 "$etc"
    printf '127.0.0.1 localhost\n' >"$etc/hosts"
    printf 'hosts: files dns\n' >"$etc/nsswitch.conf"
    printf '%s\n' "${@:2}" >"$etc/resolv.conf"
    cp "$etc/resolv.conf" "$etc/resolv.conf.original"
    chmod 644 "$etc"/*
    chmod 755 "$TMP"
}

names_gateway() { # NAME VARIABLE=VALUE...
    local name=$1
    shift
    CLIENT_MOUNTS="mount --bind $TMP/etc-g1 /etc" gateway_start "$name" g1 FIREZONE_API_URL="$(p2p_url g1)" "$@"
    client_says "$name" 10 "is up: "
}

names_client() { # VARIABLE=VALUE... -- ARGUMENT...
    CLIENT_MOUNTS="mount --bind $TMP/etc-c1 /etc" client_start c1 c1 FIREZONE_API_URL="$(p2p_url c1)" \
        FIREZONE_DNS_CONTROL=etc-resolv-conf "$@"
    client_says c1 10 "is up: "
    eventually 5 names_stub || fail "the client does not have the system's DNS: $(cat "$TMP/etc-c1/resolv.conf"); $(tail -n 20 "$TMP/c1.log")"
}

names_end() {
    client_end c1 0
    client_end g1 0
    cmp -s "$TMP/etc-c1/resolv.conf" "$TMP/etc-c1/resolv.conf.original" ||
        fail "the system's DNS is not as before: $(cat "$TMP/etc-c1/resolv.conf")"
}

# ---- what a user does ----

app() {
    timeout -k 1 "${LIMIT:-30}" nsenter --target "${CLIENT_PID[c1]}" --mount --net "$@"
}

# names_stub: the first DNS server that the client's host has, if that is the client
names_stub() {
    local server
    server=$(sed -n 's/^nameserver //p' "$TMP/etc-c1/resolv.conf" | head -n 1)
    [[ $server == 100.100.111.* || $server == fd00:2021:1111:8000:100:100:111:* ]] && printf '%s' "$server"
}

names_ask_in() { # NS SERVER PROTOCOL NAME TYPE...
    in_ns "$1" python3 "$ROOT/tests/support/dns_ask.py" "${@:2}"
}

names_ask() { # SERVER PROTOCOL NAME TYPE...
    local server=$1
    [[ $server != stub ]] || server=$(names_stub) || fail "c1 has no DNS server of the client: $(cat "$TMP/etc-c1/resolv.conf")"
    names_ask_in c1 "$server" "${@:2}"
}

# expect_answer PROTOCOL NAME TYPE PATTERN: of the stub; the pattern is bash's
expect_answer() {
    local got
    got=$(names_ask stub "$1" "$2" "$3" 2>&1) || fail "no answer for $2 $3 by $1: $got"
    # shellcheck disable=SC2053 # a pattern
    [[ $got == $4 ]] || fail "the answer for $2 $3 by $1 is '$got', not '$4': $(tail -n 20 "$TMP/c1.log")"
}

names_sum() { # BYTES FILE
    python3 "$ROOT/tests/support/web.py" sum "$1" "$2"
}

names_fetch() { # NAME BYTES [PORT] [FILE]
    local file=${4:-x} n sum from
    app python3 "$ROOT/tests/support/web.py" fetch "http://$1:${3:-80}/$2/$file" >"$TMP/fetched" 2>&1 ||
        fail "no download from $1: $(cat "$TMP/fetched"); $(tail -n 30 "$TMP/c1.log" "$TMP/g1.log")"
    read -r n sum from _ <"$TMP/fetched"
    [[ $n -eq $2 && $sum == $(names_sum "$2" "$file") ]] || fail "$1: $n bytes with the sum $sum came instead of $2: other ones"
    printf '%s\n' "$from"
}

names_connects() { # NAME PORT HOW [4|6]
    local got
    got=$(app python3 "$ROOT/tests/support/web.py" connect "$1" "$2" "${4:-4}" 2>&1) || fail "no connection to $1:$2: $got"
    [[ ${got% *} == "$3" ]] || fail "a connection to $1:$2: $got, not $3; $(tail -n 30 "$TMP/c1.log" "$TMP/g1.log")"
}

names_connection_is() { # NAME PORT HOW [4|6]: the same as a question
    [[ $(app python3 "$ROOT/tests/support/web.py" connect "$1" "$2" "${4:-4}" 2>/dev/null) == "$3 "* ]]
}

names_pings() { # NAME [4|6]
    app ping "-${2:-4}" -q -c 3 -i 0.2 -W 4 "$1" >"$TMP/ping" 2>&1 ||
        fail "no ping of $1: $(cat "$TMP/ping"); $(tail -n 30 "$TMP/c1.log" "$TMP/g1.log")"
    grep -q ' 0% packet loss' "$TMP/ping" || fail "pings of $1 are lost: $(cat "$TMP/ping")"
}
