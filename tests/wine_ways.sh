#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The Windows source resolver under Wine on a host with three uplinks, whose prefixes and metrics disagree, against the
# oracle of unit_wine_source: there a rule left out is seen, which one uplink would not show.
#
#   [up1] default 50, 8.8.8.0/24 metric 900    [up2] default 20, 10.1.2.0/24 metric 900    [up3] 8.8.0.0/16 metric 500
#
#   tests/wine_ways.sh FOLDER    where the Windows variant was built
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$1
if [[ ${2:-} != inside ]]; then
    if [[ $EUID -ne 0 ]] || ! unshare -n true 2>/dev/null; then
        echo "a network namespace needs root"
        exit 77
    fi
    command -v wine >/dev/null || {
        echo "wine is not installed"
        exit 77
    }
    exec unshare -n "$0" "$folder" inside
fi

ip link set lo up
for i in 1 2 3; do
    ip link add "up$i" type veth peer name "far$i"
    ip link set "up$i" up
    ip link set "far$i" up
    ip address add "10.$i.0.2/16" dev "up$i"
    ip address add "fd0$i::2/64" dev "up$i" nodad
done
ip route add default via 10.1.0.1 metric 50
ip route add default via 10.2.0.1 metric 20
ip route add 8.8.0.0/16 via 10.3.0.1 metric 500
ip route add 8.8.8.0/24 via 10.1.0.1 metric 900
ip route add 10.1.2.0/24 via 10.2.0.1 metric 900
ip -6 route add default via fd02::1 metric 30
ip -6 route add default via fd01::1 metric 60
ip -6 route add 2001:db8::/32 via fd03::1 metric 900
tools/check-wine.sh "$folder/wine-ways" tools/wine.sh "$folder/tests/unit_wine_source.exe"
