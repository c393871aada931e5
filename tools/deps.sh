#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Brings what the build and the tests need to a Debian 12 (or newer) machine.
#
#   tools/deps.sh build    what `make` needs
#   tools/deps.sh check    the same, plus what the tests need
#   tools/deps.sh demo     the same as build, plus what the demonstration needs
#
# Three kinds of dependencies:
#  - packages of the distribution, installed with apt-get (root);
#  - pinned source tarballs and packages from the distribution's archive, checked by SHA256 and built into build/deps
#    (no root). They come through a private source list whose archive address is read from the system's own apt
#    configuration; the system's lists stay as they are;
#  - pinned npm packages, which tests take as peers, likewise. npm gets them from where its own configuration says.
#
# To add a pinned one: a function build_<variant>_<name> (runs in an empty scratch folder, source unpacked in $SRC, installs
# into $PREFIX), a `pin` line, and its name in a group at the end. Each is rebuilt when its pin, its function or its files
# under tools/deps/<name>/ change.
set -euo pipefail
export LC_ALL=C

readonly ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly DEPS=$(mkdir -p "${DEPS:-$ROOT/build/deps}" && cd "${DEPS:-$ROOT/build/deps}" && pwd)
readonly FILES=$ROOT/tools/deps
readonly DISK_NEEDED_MIB=800

say() { printf 'deps: %s\n' "$*"; }

die() {
    printf 'deps: error: %s\n' "$*" >&2
    exit 1
}

trap 'echo "deps: error: tools/deps.sh line $LINENO failed" >&2' ERR

# ---- packages of the distribution: "a|b" means the first of them that is installed or installable ----

readonly PACKAGES_BUILD="gcc g++ libc6-dev make cmake pkg-config patch xz-utils ca-certificates file
    libck-dev libinih-dev libjansson-dev libjemalloc-dev libmnl-dev libsystemd-dev"
readonly PACKAGES_CHECK="clang-14|clang llvm-14|llvm libclang-rt-14-dev|libclang-rt-dev clang-format-14|clang-format
    clang-tidy-14|clang-tidy cppcheck universal-ctags libcmocka-dev nasm valgrind
    gcc-mingw-w64-x86-64-posix g++-mingw-w64-x86-64-posix wine wine64
    iproute2 iputils-ping netbase nftables ethtool procps util-linux psmisc libcap2-bin
    wireguard-tools iperf3 tshark tcpdump socat netcat-openbsd openssl python3 coturn libnice-dev libglib2.0-dev
    dnsmasq-base knot-dnsutils
    dbus-daemon|dbus dbus-system-bus-common|dbus systemd"
readonly PACKAGES_DEMO="iproute2 iputils-ping netbase nftables procps util-linux wireguard-tools iperf3 python3"

# Not a package by name: node often comes from elsewhere, with npm in it.
packages_node() {
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
}

installed() {
    [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

# installable PACKAGE: the system's lists have a candidate
installable() {
    apt-cache policy "$1" 2>/dev/null | grep 'Candidate: [^(]' >/dev/null
}

# missing_packages PACKAGE...: prints those without any installed alternative
missing_packages() {
    local want alternative have
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
    have=$'\n'$have$'\n'
    for want in "$@"; do
        for alternative in ${want//|/ }; do
            [[ $have == *$'\n'$alternative$'\n'* ]] && continue 2
        done
        printf '%s\n' "$want"
    done
}

choose_alternatives() {
    local want alternative
    for want in "$@"; do
        for alternative in ${want//|/ }; do
            if installable "$alternative"; then
                printf '%s\n' "$alternative"
                continue 2
            fi
        done
        printf '%s\n' "${want%%|*}" # apt-get will name it in its error
    done
}

install_packages() {
    local missing log=$DEPS/log/apt-install.log
    command -v dpkg-query >/dev/null || die "this is not Debian; install the equivalent of these and build the rest by hand: $*"
    mapfile -t missing < <(missing_packages "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    if [[ $(id -u) -ne 0 ]]; then
        die "these packages are missing and installing them needs root; run this as root, then try again:
    apt-get update && apt-get install --no-install-recommends $(printf '%s ' "${missing[@]%%|*}")"
    fi
    say "installing with apt-get, ${#missing[@]} packages and what they depend on: ${missing[*]%%|*}"
    mkdir -p "$DEPS/log"
    apt-get -o APT::Update::Error-Mode=any update >"$log" 2>&1 ||
        say "warning: apt-get update failed, going on with the lists there are ($log)"
    mapfile -t missing < <(choose_alternatives "${missing[@]}")
    if ! DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends \
        "${missing[@]}" </dev/null >>"$log" 2>&1; then
        tail -n 15 "$log" >&2
        check_disk /var/cache 200
        die "apt-get install failed; no network, or a package is not in this distribution? whole log: $log"
    fi
}

# ---- the private source list ----

check_disk() { # FOLDER MIB
    local free
    free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
    [[ $free -ge $2 ]] || die "disk full: $1 has $free MiB free, at least $2 are needed"
}

private_apt() { # PROGRAM ARGUMENT...
    local program=$1
    shift
    "$program" -o Dir::Etc::sourcelist="$DEPS/apt/list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$DEPS/apt/lists" -o Dir::Cache="$DEPS/apt/cache" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root "$@"
}

private_list_ready=
archive= # its address, after make_private_list
make_private_list() {
    local suite log=$DEPS/log/apt-update.log
    [[ -z $private_list_ready ]] || return 0
    command -v apt-get >/dev/null || die "apt-get is needed to fetch pinned sources"
    archive=$(apt-get indextargets --format '$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(CREATED_BY)|$(ORIGIN)' |
        awk -F'|' '$3 == "main" && $4 == "Packages" && $5 ~ /^(Debian)?$/ && $2 !~ /-(security|updates|backports)$/ { print $1; exit }')
    [[ -n $archive ]] || die "cannot tell the archive's address: apt-get indextargets lists no 'main' of a release"
    mkdir -p "$DEPS/apt/lists/partial" "$DEPS/apt/cache/archives/partial" "$DEPS/log"
    for suite in trixie bookworm-backports; do
        printf '%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
            deb "$archive" "$suite" deb-src "$archive" "$suite"
    done >"$DEPS/apt/list"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' "$archive" >>"$DEPS/apt/list"
    say "reading the archive's index into $DEPS/apt (about 45 MB)"
    if ! private_apt apt-get -o APT::Update::Error-Mode=any update >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        die "cannot reach the archive that the system's apt configuration names (no network?); whole log: $log"
    fi
    private_list_ready=yes
}

has_checksum() { # FILE SHA256
    [[ -f $1 ]] && echo "$2  $1" | sha256sum --check --status
}

# A tarball stays in the archive's pool for a while after the index has moved on to another version.
fetch_from_pool() { # NAME
    local source=${PIN_PACKAGE[$1]%/*} file=${PIN_FILE[$1]} letter
    [[ $file != *.deb ]] || return 1
    letter=${source:0:1}
    [[ $source != lib* ]] || letter=${source:0:4}
    /usr/lib/apt/apt-helper download-file "${archive%/}/pool/main/$letter/$source/$file" "$DEPS/download/$file"
}

fetch_from_npm() { # NAME
    (cd "$DEPS/download" && npm pack --silent --ignore-scripts --cache "$DEPS/scratch/npm" "${PIN_PACKAGE[$1]#npm/}")
    rm -rf "$DEPS/scratch/npm"
}

# fetch NAME: leaves the checked file of a pin at $DEPS/download/<file>
fetch() {
    local name=$1 file=${PIN_FILE[$1]} sha=${PIN_SHA[$1]} log=$DEPS/log/fetch-$1.log
    has_checksum "$DEPS/download/$file" "$sha" && return 0
    [[ ${PIN_PACKAGE[$name]} == npm/* ]] || make_private_list
    say "fetching $file"
    mkdir -p "$DEPS/download" "$DEPS/log"
    rm -f "$DEPS/download/$file"
    local verb=(source --tar-only)
    [[ $file != *.deb ]] || verb=(download)
    if [[ ${PIN_PACKAGE[$name]} == npm/* ]]; then
        fetch_from_npm "$name" >"$log" 2>&1 || true
    elif ! (cd "$DEPS/download" && private_apt apt-get "${verb[@]}" "${PIN_PACKAGE[$name]}") >"$log" 2>&1 ||
        [[ ! -f $DEPS/download/$file ]]; then
        fetch_from_pool "$name" >>"$log" 2>&1 || true
    fi
    if [[ ! -f $DEPS/download/$file ]]; then
        tail -n 5 "$log" >&2
        check_disk "$DEPS" 100
        die "cannot fetch $file of ${PIN_PACKAGE[$name]}; no network, or is the version not there any more (then update the pin in tools/deps.sh)? whole log: $log"
    fi
    has_checksum "$DEPS/download/$file" "$sha" ||
        die "$DEPS/download/$file does not have the pinned SHA256 $sha"
}

# ---- building the pinned ones ----

declare -A PIN_PACKAGE PIN_FILE PIN_SHA

pin() { # NAME PACKAGE/SUITE FILE SHA256
    PIN_PACKAGE[$1]=$2 PIN_FILE[$1]=$3 PIN_SHA[$1]=$4
}

# provide VARIANT NAME: builds and installs it unless that is done already
provide() {
    local variant=$1 name=$2 build=build_$1_$2
    local stamp=$DEPS/stamp/$variant-$name log=$DEPS/log/$variant-$name.log key
    key=$({
        echo "${PIN_FILE[$name]} ${PIN_SHA[$name]}"
        declare -f "$build"
        [[ ! -d $FILES/$name ]] || (cd "$FILES/$name" && find . -type f -exec sha256sum {} + | sort)
        [[ $variant != mingw ]] || sha256sum <"$FILES/mingw.cmake"
    } | sha256sum)
    [[ ! -f $stamp || $(<"$stamp") != "$key" ]] || return 0
    mkdir -p "$DEPS/stamp" "$DEPS/log"
    check_disk "$DEPS" "$DISK_NEEDED_MIB"
    fetch "$name"
    say "building $name for $variant into $DEPS/$variant (log: $log)"
    local scratch=$DEPS/scratch/$variant-$name
    rm -rf "$scratch" "$stamp"
    mkdir -p "$scratch/src" "$scratch/build" "$DEPS/$variant"
    [[ ${PIN_FILE[$name]} == *.deb ]] ||
        tar -xf "$DEPS/download/${PIN_FILE[$name]}" -C "$scratch/src" || die "cannot unpack ${PIN_FILE[$name]}"
    # The subshell must not be part of a condition, or its `set -e` would be ignored.
    set +e
    (
        set -e
        exec </dev/null >"$log" 2>&1
        SRC=$scratch/src/$(ls "$scratch/src" | head -n 1) PREFIX=$DEPS/$variant
        DOWNLOAD=$DEPS/download/${PIN_FILE[$name]}
        # what a calling make wants for itself is not for the builds here
        unset MAKEFLAGS MFLAGS MAKELEVEL CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS V OS BUILD
        cd "$scratch/build"
        set -x
        "$build"
    )
    local status=$?
    set -e
    if [[ $status -ne 0 ]]; then
        tail -n 20 "$log" >&2
        check_disk "$DEPS" 20
        die "building $name for $variant failed; whole log: $log"
    fi
    rm -rf "$scratch"
    echo "$key" >"$stamp"
}

readonly JOBS=$(nproc)

cmake_install() { # SOURCE CMAKE_ARGUMENT...
    cmake -S "$1" -B . -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_INSTALL_PREFIX="$PREFIX" -DCMAKE_INSTALL_LIBDIR=lib "${@:2}"
    cmake --build . -j "$JOBS"
    cmake --install .
}

pin liburing liburing/trixie liburing_2.9.orig.tar.gz \
    57e9b36e4ac1e46b8e0351dfb1694dc59638fc25e384b4ba36d87b800b16db1a
build_native_liburing() {
    cd "$SRC"
    CFLAGS="-O2 -g -fPIC" ./configure --prefix="$PREFIX"
    make -C src -j "$JOBS"
    make -C src install prefix="$PREFIX" libdir="$PREFIX/lib" includedir="$PREFIX/include" ENABLE_SHARED=0
}

pin boringssl android-platform-external-boringssl/trixie \
    android-platform-external-boringssl_14.0.0+r45.orig.tar.xz \
    f9223e8c15ad5d9e3f1cd50861f4c272658864661e2332bea5d60952aa0930cd
build_native_boringssl() {
    cmake_install "$FILES/boringssl" -DBORINGSSL_SOURCE="$SRC"
}
build_mingw_boringssl() {
    cmake_install "$FILES/boringssl" -DBORINGSSL_SOURCE="$SRC" -DCMAKE_TOOLCHAIN_FILE="$FILES/mingw.cmake"
}

# Test vectors, which the tarball brings along.
pin wycheproof "${PIN_PACKAGE[boringssl]}" "${PIN_FILE[boringssl]}" "${PIN_SHA[boringssl]}"
build_native_wycheproof() {
    install -D -m 644 -t "$PREFIX/share/wycheproof" \
        "$SRC/src/third_party/wycheproof_testvectors/chacha20_poly1305_test.txt" \
        "$SRC/src/third_party/wycheproof_testvectors/LICENSE"
}

pin ck ck/trixie ck_0.7.2.orig.tar.xz 2798d0a179287312de271aa84cbc82bf73eceddad19a26df810f1518011ce4c0
build_mingw_ck() {
    cd "$SRC"
    CC=x86_64-w64-mingw32-gcc AR=x86_64-w64-mingw32-ar RANLIB=x86_64-w64-mingw32-ranlib CFLAGS=-O2 \
        ./configure --platform=x86_64 --profile=x86_64 --prefix="$PREFIX"
    make -C src libck.a AR=x86_64-w64-mingw32-ar CFLAGS="-O2 -D_REENTRANT -std=gnu99 -I$SRC/include -I$SRC/src"
    mkdir -p "$PREFIX/lib" "$PREFIX/include"
    cp src/libck.a "$PREFIX/lib/"
    cp -R include/. "$PREFIX/include/"
}

pin cmocka cmocka/trixie cmocka_1.1.7.orig.tar.xz 810570eb0b8d64804331f82b29ff47c790ce9cd6b163e98d47a4807047ecad82
build_mingw_cmocka() {
    cmake_install "$SRC" -DCMAKE_TOOLCHAIN_FILE="$FILES/mingw.cmake" -DBUILD_SHARED_LIBS=OFF \
        -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF
}

pin jansson jansson/trixie jansson_2.14.orig.tar.gz c739578bf6b764aa0752db9a2fdadcfe921c78f1228c7ec0bb47fa804c55d17b
build_mingw_jansson() {
    cmake_install "$SRC" -DCMAKE_TOOLCHAIN_FILE="$FILES/mingw.cmake" -DJANSSON_BUILD_SHARED_LIBS=OFF \
        -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF
}

# The patch lets the body of a refused upgrade through, which carries the portal's error code.
pin libwebsockets libwebsockets/trixie libwebsockets_4.3.5.orig.tar.gz \
    87f99ad32803ed325fceac5327aae1f5c1b417d54ee61ad36cffc8df5f5ab276
build_native_libwebsockets() {
    # The body of a refused upgrade is read. A client of HTTP/2 hears of streams that the server resets, leaves padding out of
    # bodies, and frees what it has allocated. Names are not looked up: that would block, and go through the tunnel. What wakes a
    # context up is closed with it.
    local change
    for change in refused-upgrade h2-client no-names pipe-closed; do
        patch -d "$SRC" -p1 <"$FILES/libwebsockets/$change.patch"
    done
    cmake_install "$SRC" -DDISABLE_WERROR=ON -DLWS_WITH_STATIC=ON -DLWS_WITH_SHARED=OFF -DLWS_STATIC_PIC=ON \
        -DLWS_WITHOUT_TESTAPPS=ON -DLWS_WITHOUT_EXTENSIONS=ON -DLWS_WITH_SSL=ON -DLWS_WITH_BORINGSSL=ON -DLWS_WITH_HTTP2=ON \
        -DLWS_IPV6=ON -DLWS_UNIX_SOCK=OFF -DLWS_WITH_LIBEV=OFF -DLWS_WITH_LIBUV=OFF -DLWS_WITH_LIBEVENT=OFF \
        -DLWS_WITH_GLIB=OFF \
        -DLWS_CLIENT_HTTP_PROXYING=OFF -DLWS_WITH_SOCKS5=OFF -DLWS_WITH_NETLINK=OFF -DLWS_WITH_TLS_SESSIONS=OFF \
        -DLWS_WITH_CONMON=OFF -DLWS_WITH_CACHE_NSCOOKIEJAR=OFF \
        -DLWS_OPENSSL_CLIENT_CERTS=/etc/ssl/certs \
        -DLWS_OPENSSL_INCLUDE_DIRS="$PREFIX/include" \
        -DLWS_OPENSSL_LIBRARIES:STRING="$PREFIX/lib/libssl.a;$PREFIX/lib/libcrypto.a;-lpthread"
    local feature # each of these silently goes missing when a probe of cmake fails
    for feature in LWS_HAVE_X509_VERIFY_PARAM_set1_host LWS_HAVE_SSL_set_alpn_protos LWS_WITH_IPV6; do
        grep -q "^#define $feature\\b" "$PREFIX/include/lws_config.h"
    done
    # Each of these acts on its own: proxies from the environment, connections closed for a change of routes that are not
    # ours to use, a session that tells one connection to be of the same device as another, ways to the resolver.
    for feature in LWS_CLIENT_HTTP_PROXYING LWS_WITH_SOCKS5 LWS_WITH_NETLINK LWS_WITH_TLS_SESSIONS LWS_WITH_SYS_ASYNC_DNS \
        LWS_WITH_SYS_NTPCLIENT LWS_WITH_SYS_DHCP_CLIENT; do
        ! grep -q "^#define $feature\\b" "$PREFIX/include/lws_config.h" || return 1
    done
}

pin cares c-ares/trixie c-ares_1.34.5.orig.tar.gz 7d935790e9af081c25c495fd13c2cfcda4792983418e96358ef6e7320ee06346
build_native_cares() {
    cmake_install "$SRC" -DCARES_STATIC=ON -DCARES_SHARED=OFF -DCARES_STATIC_PIC=ON -DCARES_BUILD_TOOLS=OFF -DCARES_BUILD_TESTS=OFF
}

# lwIP's functions have names that any program may have. In the library they get a prefix, which its lwipopts.h gives them for who
# includes it; so do the names in its headers that ours have, too.
pin lwip lwip/trixie lwip_2.2.1+dfsg1.orig.tar.xz 83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1
build_native_lwip() {
    printf '%s\n' "$SRC"/src/core/*.c "$SRC"/src/core/ipv[46]/*.c |
        xargs -n 1 -P "$JOBS" gcc -std=gnu11 -O2 -g -fPIC -fno-omit-frame-pointer \
            -I"$FILES/lwip" -I"$SRC/src/include" "-ffile-prefix-map=$SRC=lwip" -c
    nm --extern-only --defined-only ./*.o | awk 'NF == 3 && $3 !~ /^lwip_/ { print $3 }' | sort -u >names
    sed 's/.*/& lwip_&/' names >prefixed
    printf '%s\n' ./*.o | xargs -n 1 objcopy --redefine-syms=prefixed
    mkdir -p "$PREFIX/include/arch" "$PREFIX/lib"
    rm -rf "$PREFIX/include/lwip" "$PREFIX/lib/liblwip.a"
    cp -R "$SRC/src/include/lwip" "$PREFIX/include/"
    cp "$FILES/lwip/arch/"*.h "$PREFIX/include/arch/"
    { cat "$FILES/lwip/lwipopts.h" && sed 's/.*/#define & lwip_&/' names; } >"$PREFIX/include/lwipopts.h"
    find "$PREFIX/include/lwip" -name '*.h' -exec sed -i -E 's/\bstruct ip_addr\b/struct lwip_ip_addr/
        s/\bERR_(OK|MEM|BUF|TIMEOUT|RTE|INPROGRESS|VAL|WOULDBLOCK|USE|ALREADY|ISCONN|CONN|IF|ABRT|RST|CLSD|ARG)\b/LWIP_ERR_\1/g' {} +
    ar rcs "$PREFIX/lib/liblwip.a" ./*.o
}

pin wireguard_go wireguard-go/bookworm-backports wireguard-go_0.0.20231211-1~bpo12+1_amd64.deb \
    8aa051985912bbc5499e4abe66389395656cf2daec02271a1ca654a277a82d33
build_tools_wireguard_go() {
    dpkg-deb -x "$DOWNLOAD" .
    mkdir -p "$PREFIX/bin"
    install -m 755 usr/bin/wireguard-go "$PREFIX/bin/wireguard-go"
    "$PREFIX/bin/wireguard-go" --version
}

# Unpacked only: its package would take over the system's resolv.conf. It runs with the libsystemd-shared of Debian 12.
pin resolved systemd-resolved/bookworm systemd-resolved_252.39-1~deb12u2_amd64.deb \
    40c94e9ce1a1f77806eeccfaf701392acb60df51412be9e8f124f5ebf4443335
build_tools_resolved() {
    rm -rf "$PREFIX/resolved"
    dpkg-deb -x "$DOWNLOAD" "$PREFIX/resolved"
    [ -x "$PREFIX/resolved/lib/systemd/systemd-resolved" ]
}

# Likewise, with the two libraries that it has for itself: it would take over the interfaces.
pin networkmanager network-manager/bookworm network-manager_1.42.4-1+deb12u1_amd64.deb \
    9b203dadd4751fc3fce1211eb3122fb55426e295d07808f7420a360ba186f1ba
build_tools_networkmanager() {
    dpkg-deb -x "$DOWNLOAD" "$PREFIX/networkmanager"
}
pin libnm libnm0/bookworm libnm0_1.42.4-1+deb12u1_amd64.deb 9dc096f1c4affaed8377d22850fca8edb4d0a3ba56025b641f75aeb1e83f9508
build_tools_libnm() {
    dpkg-deb -x "$DOWNLOAD" "$PREFIX/networkmanager"
}
pin libndp libndp0/bookworm libndp0_1.8-1+deb12u1_amd64.deb 0f7848dc7bcfa8f64e1053f4bea4ab753c92d6c5aff1ac9c3a34f217fa15bbc9
build_tools_libndp() {
    dpkg-deb -x "$DOWNLOAD" "$PREFIX/networkmanager"
}

# Likewise: it would serve at port 53.
pin unbound unbound/bookworm unbound_1.17.1-2+deb12u4_amd64.deb ff025d2aa8319bccd4c41460293b92eb714b85396ee0b781d37c9ce0bbf8a9db
build_tools_unbound() {
    dpkg-deb -x "$DOWNLOAD" "$PREFIX/unbound"
}
pin libevent libevent-2.1-7/bookworm libevent-2.1-7_2.1.12-stable-8_amd64.deb \
    ca8858a7095ade7776c9f73437812423a45ccd90de2079e8c34830d291df290f
build_tools_libevent() {
    dpkg-deb -x "$DOWNLOAD" "$PREFIX/unbound"
}
pin libpython libpython3.11/bookworm libpython3.11_3.11.2-6+deb12u8_amd64.deb \
    63845d53d5f64d2362cfb6007ec175ad1c6044cebe60a1885eff76d2ce637c35
build_tools_libpython() {
    dpkg-deb -x "$DOWNLOAD" "$PREFIX/unbound"
}

# What the portal's channels are written for, as a peer of ours.
pin phoenix npm/phoenix@1.8.16 phoenix-1.8.16.tgz 936f99cd3ddcc84afa426f658f9db64b121fcd4656fdbe1e6aac78b82b069c30
build_tools_phoenix() {
    mkdir -p "$PREFIX/lib/node_modules"
    rm -rf "$PREFIX/lib/node_modules/phoenix"
    cp -R "$SRC" "$PREFIX/lib/node_modules/phoenix"
}

pin ws npm/ws@8.23.0 ws-8.23.0.tgz b8bd105a274ae9ca114f8c6ce4d9dbb0c764fe5118ba633c557e1703e297c587
build_tools_ws() {
    mkdir -p "$PREFIX/lib/node_modules"
    rm -rf "$PREFIX/lib/node_modules/ws"
    cp -R "$SRC" "$PREFIX/lib/node_modules/ws"
}

# ---- groups ----

# The same of what one test needs, which is skipped without it.
provide_if_fetched() { # VARIANT NAME
    if (fetch "$2"); then
        provide "$1" "$2"
    else
        say "warning: going on without $2"
    fi
}

group_build() {
    provide native liburing
    provide native boringssl
    provide native libwebsockets
    provide native cares
    provide native lwip
}

group_check() {
    group_build
    provide native wycheproof
    provide mingw boringssl
    provide mingw ck
    provide mingw cmocka
    provide mingw jansson
    provide tools wireguard_go
    provide_if_fetched tools phoenix
    provide_if_fetched tools ws
    provide_if_fetched tools resolved
    provide_if_fetched tools networkmanager
    provide_if_fetched tools libnm
    provide_if_fetched tools libndp
    provide_if_fetched tools unbound
    provide_if_fetched tools libevent
    provide_if_fetched tools libpython
}

group_demo() {
    group_build
    provide tools wireguard_go
}

main() {
    local group=${1:-}
    case $group in
    build | check | demo) ;;
    *) die "usage: tools/deps.sh build|check|demo" ;;
    esac
    exec 9>"$DEPS/lock"
    flock 9 # one at a time: several makes may start at once
    case $group in
    build) install_packages $PACKAGES_BUILD ;;
    check) install_packages $PACKAGES_BUILD $PACKAGES_CHECK $(packages_node) ;;
    demo) install_packages $PACKAGES_BUILD $PACKAGES_DEMO ;;
    esac
    "group_$group"
    touch "$DEPS/ready-build" "$DEPS/ready-$group"
}

main "$@"
