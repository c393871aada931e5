/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a member of a Firezone network, with their variables: what both programs have, and what only one of them has. */
#include <stdlib.h>
#include <string.h>

#include "control/duration.h"
#include "control/options_private.h"
#include "control/portal/identity.h"

static enum err set_api_url(struct options *o, const char *by, const char *value,
                            const struct why *why)
{
    char reason[128];

    if (url_parse(&o->api, value, reason, sizeof reason) == ERR_OK)
        return ERR_OK;
    return options_fail(why, "%s: %s", by, reason);
}

static enum err set_id(struct options *o, const char *by, const char *value, const struct why *why)
{
    char sent[IDENTITY_EXTERNAL_ID_MAX + 1];

    o->firezone_id = value;
    return identity_external_id(sent, value) == ERR_OK
               ? ERR_OK
               : options_fail(why, "%s: an id has 1 to 255 printable ASCII characters", by);
}
_Static_assert(IDENTITY_EXTERNAL_ID_MAX == 255, "the message says how long an id may be");

static enum err set_max_partition(struct options *o, const char *by, const char *value,
                                  const struct why *why)
{
    return duration_parse(&o->max_partition_ns, value) == ERR_OK
               ? ERR_OK
               : options_fail_value(why, by, value, "not a duration such as 5m, 1h30m or 30d");
}

static enum err set_name(struct options *o, const char *by, const char *value,
                         const struct why *why)
{
    size_t len = strlen(value);

    if (strspn(value, " \t\r\n") == len)
        return options_fail(why, "%s: the name is empty", by);
    if (len > OPTIONS_NAME_MAX)
        return options_fail(why, "%s: the name is longer than %d bytes", by, OPTIONS_NAME_MAX);
    o->firezone_name = value;
    return ERR_OK;
}

static enum err set_log_format(struct options *o, const char *by, const char *value,
                               const struct why *why)
{
    static const char *const names[] = {"text", "json", "human", NULL};
    unsigned i;
    enum err err = options_choose(&i, names, by, value, why);

    if (err == ERR_OK)
        o->log_format = i == 1 ? LOG_JSON : LOG_TEXT;
    return err;
}

static enum err set_log_filter(struct options *o, const char *by, const char *value,
                               const struct why *why)
{
    if (value[0] == '\0')
        return options_fail(why, "%s: the value is empty", by);
    o->log_filter = value;
    o->log_filter_by = by;
    return ERR_OK;
}

static enum err set_bytes(uint32_t *out, const char *by, const char *value, const struct why *why)
{
    size_t n = strlen(value);
    unsigned long bytes =
        n <= 10 && strspn(value, "0123456789") == n ? strtoul(value, NULL, 10) : 0;

    *out = (uint32_t)bytes;
    if (bytes < 1 || bytes > OPTIONS_UDP_BYTES_MAX)
        return options_fail_value(why, by, value, "not a number of bytes from 1 to 1073741824");
    return ERR_OK;
}
_Static_assert(OPTIONS_UDP_BYTES_MAX == 1073741824, "the message says how many there may be");

static enum err set_send_bytes(struct options *o, const char *by, const char *value,
                               const struct why *why)
{
    return set_bytes(&o->udp_send_bytes, by, value, why);
}

static enum err set_recv_bytes(struct options *o, const char *by, const char *value,
                               const struct why *why)
{
    return set_bytes(&o->udp_recv_bytes, by, value, why);
}

/* What would be measured or sent is not there; the values are those that others accept. */
static enum err set_metrics(struct options *o, const char *by, const char *value,
                            const struct why *why)
{
    static const char *const names[] = {"stdout", "otel-collector", "sentry", NULL};
    unsigned i;
    enum err err = options_choose(&i, names, by, value, why);

    o->telemetry_asked = by;
    return err;
}

static enum err set_otlp(struct options *o, const char *by, const char *value,
                         const struct why *why)
{
    const char *colon = strrchr(value, ':');

    if (!colon || colon == value || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        colon[1] == '\0')
        return options_fail_value(why, by, value, "not of the form HOST:PORT");
    o->telemetry_asked = by;
    return ERR_OK;
}

#define AT(field) .offset = offsetof(struct options, field)

/* What both programs have. */
#define OF_A_MEMBER                                                                                \
    {SETTING_HELP, .letter = 'h', .name = "--help"},                                               \
        {SETTING_VERSION, .letter = 'V', .name = "--version"},                                     \
        {SETTING_PARSED, 'i', "--firezone-id", "FIREZONE_ID", .set = set_id},                      \
        {SETTING_TEXT, 0, "--ca-file", "FIREZONE_CA_FILE", AT(ca_file)},                           \
        {SETTING_TEXT, 'l', "--log-dir", "LOG_DIR", AT(log_dir)},                                  \
        {SETTING_PARSED, 0, "--log-level", "RUST_LOG", "FIREZONE_LOG", .set = set_log_filter},     \
        {SETTING_PARSED, 0, "--log-format", "FIREZONE_LOG_FORMAT", .set = set_log_format},         \
        {SETTING_ON, 0, "--flow-logs", "FIREZONE_FLOW_LOGS", AT(flow_logs)},                       \
        {SETTING_ON, 0, "--no-telemetry", "FIREZONE_NO_TELEMETRY", AT(no_telemetry)},              \
        {SETTING_PARSED, 'u', "--api-url", "FIREZONE_API_URL", .set = set_api_url},                \
        {SETTING_ON, 0, "--check", AT(check)}, {SETTING_ON, 0, "--exit", AT(exit_when_up)},        \
        {SETTING_PARSED, 0, "--metrics", "FIREZONE_METRICS", .set = set_metrics},                  \
        {SETTING_PARSED, 0, "--otlp-grpc-endpoint", "OTLP_GRPC_ENDPOINT", .set = set_otlp},        \
        {SETTING_PARSED, 0, NULL, "FIREZONE_UDP_SEND_BUFFER_SIZE", .set = set_send_bytes},         \
        {SETTING_PARSED, 0, NULL, "FIREZONE_UDP_RECV_BUFFER_SIZE", .set = set_recv_bytes},         \
    {                                                                                              \
        SETTING_ON, 0, NULL, "FIREZONE_COMPAT_EXIT", AT(compat_exit)                               \
    }

const struct setting options_client[] = {
    OF_A_MEMBER,
    {SETTING_TEXT, 0, "--token-path", "FIREZONE_TOKEN_PATH", AT(token_path)},
    {SETTING_PARSED, 0, "--firezone-name", "FIREZONE_NAME", .set = set_name},
    {SETTING_PARSED, 0, "--dns-control", "FIREZONE_DNS_CONTROL", .set = options_set_dns},
    {SETTING_PARSED, 'm', "--max-partition-time", "MAX_PARTITION_TIME",
     "FIREZONE_MAX_PARTITION_TIME", .set = set_max_partition},
    {SETTING_ON, 0, "--activate-internet-resource", "FIREZONE_ACTIVATE_INTERNET_RESOURCE",
     AT(internet_resource)},
    {SETTING_ON, 0, "--inc-buf", "FIREZONE_INC_BUF", AT(raise_buffers)},
    {.kind = SETTING_END},
};

const struct setting options_gateway[] = {
    OF_A_MEMBER,
    {SETTING_PARSED, 'n', "--firezone-name", "FIREZONE_NAME", .set = set_name},
    {SETTING_PARSED, 'm', "--max-partition-time", "FIREZONE_MAX_PARTITION_TIME",
     .set = set_max_partition},
    {SETTING_OFF, 0, "--no-inc-buf", "FIREZONE_NO_INC_BUF", AT(raise_buffers)},
    {SETTING_OFF, 0, "--no-forwarding", "FIREZONE_NO_FORWARDING", AT(forward)},
    {SETTING_OFF, 0, "--no-check", AT(permission_check)},
    {.kind = SETTING_END},
};
