/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/paths.h"

const char *paths_token(void)
{
    return "/etc/dev.firezone.client/token";
}

const char *paths_config(void)
{
    return "/var/lib/dev.firezone.client/config";
}

const char *paths_gateway(void)
{
    return "/var/lib/firezone";
}

const char *paths_run(void)
{
    return "/run/dev.firezone.client";
}

const char *paths_tun(void)
{
    return "tun-firezone";
}
