/* SPDX-License-Identifier: Apache-2.0 */
/* The options behind a command. */
#include "control/options_private.h"
#include "control/sign_url.h"

static enum err set_config(struct options *o, const char *by, const char *value,
                           const struct why *why)
{
    o->config_path = value;
    return value[0] != '\0' ? ERR_OK : options_fail(why, "%s: the name of the file is empty", by);
}

static enum err set_log_level(struct options *o, const char *by, const char *value,
                              const struct why *why)
{
    return log_level_parse(&o->log_level, value) == ERR_OK
               ? ERR_OK
               : options_fail_value(why, by, value, "none of error, warn, info, debug, trace");
}

static enum err set_auth_url(struct options *o, const char *by, const char *value,
                             const struct why *why)
{
    char reason[128];

    o->auth_url = value;
    if (sign_url_check_base(value, reason, sizeof reason) == ERR_OK)
        return ERR_OK;
    return options_fail(why, "%s: %s", by, reason);
}

static enum err set_slug(struct options *o, const char *by, const char *value,
                         const struct why *why)
{
    o->account_slug = value;
    return sign_url_is_slug(value)
               ? ERR_OK
               : options_fail_value(why, by, value, "not a slug (1 to 100 of A-Z a-z 0-9 _-)");
}
_Static_assert(SIGN_SLUG_MAX == 100, "the message says how long a slug may be");

const struct setting options_wireguard[] = {
    {SETTING_HELP, .letter = 'h', .name = "--help"},
    {SETTING_PARSED, 'c', "--config", .set = set_config},
    {SETTING_ON, .name = "--check", .offset = offsetof(struct options, check)},
    {SETTING_PARSED, .name = "--log-level", .set = set_log_level},
    {SETTING_PARSED, .name = "--dns-control", .set = options_set_dns},
    {.kind = SETTING_END},
};

const struct setting options_sign_in[] = {
    {SETTING_HELP, .letter = 'h', .name = "--help"},
    {SETTING_PARSED, .name = "--auth-base-url", .env = "FIREZONE_AUTH_BASE_URL",
     .set = set_auth_url},
    {SETTING_PARSED, .name = "--account-slug", .env = "FIREZONE_ACCOUNT_SLUG", .set = set_slug},
    {.kind = SETTING_END},
};

const struct setting options_sign_out[] = {
    {SETTING_HELP, .letter = 'h', .name = "--help"},
    {SETTING_ON, 'f', "--force", .offset = offsetof(struct options, force)},
    {.kind = SETTING_END},
};

const struct setting options_standalone[] = {
    {SETTING_HELP, .letter = 'h', .name = "--help"},
    {.kind = SETTING_END},
};
