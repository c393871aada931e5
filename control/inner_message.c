/* SPDX-License-Identifier: Apache-2.0 */
/* See inner_message.h. */
#include "control/inner_message.h"

#include "control/portal/payload.h"
#include "platform/base/bytes.h"

/* ---- reading ---- */

/* The body as an object, or NULL. A name of a member that comes twice is refused, as upstream does. */
static json_t *body_of(const uint8_t *packet, size_t len, struct fields *f)
{
    json_error_t error;
    json_t *body = NULL;
    size_t end;

    *f = (struct fields){.failed = false};
    if (len >= INNER_LEN_MIN) {
        end = IPV6_HEADER + load_be16(packet + IPV6_OFF_PAYLOAD_LEN);
        if (end >= INNER_LEN_MIN && end <= len)
            body = json_loadb((const char *)packet + INNER_LEN_MIN, end - INNER_LEN_MIN,
                              JSON_REJECT_DUPLICATES, &error);
    }
    if (!json_is_object(body))
        fields_fail(f, NULL, "not an object in JSON");
    return body;
}

/* Characters that a name in presentation form has; everything else would be escaped. */
static bool is_name(const char *text)
{
    size_t len = strlen(text);

    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len == 0 || len > INNER_DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    }
    return true;
}

static void read_domain(char out[INNER_DOMAIN_MAX + 2], const json_t *body, struct fields *f)
{
    const char *text = fields_text(f, body, "domain");

    if (!f->failed && !is_name(text))
        fields_fail(f, "domain", "not a name");
    if (!f->failed)
        memcpy(out, text, strlen(text) + 1);
}

static void read_ips(struct inner_assigned_ips *m, const json_t *body, struct fields *f)
{
    const json_t *list = fields_list(f, body, "proxy_ips");

    if (json_array_size(list) > INNER_IPS_MAX)
        fields_fail(f, "proxy_ips", "too many");
    for (size_t i = 0; i < json_array_size(list) && !f->failed; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || ip_addr_parse(&m->ips[i], text) != ERR_OK)
            fields_fail(f, "proxy_ips", "not IP addresses");
        m->n++;
    }
}

bool inner_read_assigned_ips(struct inner_assigned_ips *m, const uint8_t *packet, size_t len,
                             struct fields *f)
{
    json_t *body = body_of(packet, len, f);

    *m = (struct inner_assigned_ips){.n = 0};
    if (!f->failed) {
        m->resource = fields_uuid(f, body, "resource");
        read_domain(m->domain, body, f);
        read_ips(m, body, f);
    }
    json_decref(body);
    return !f->failed;
}

bool inner_read_domain_status(struct inner_domain_status *m, const uint8_t *packet, size_t len,
                              struct fields *f)
{
    json_t *body = body_of(packet, len, f);
    const json_t *status;

    *m = (struct inner_domain_status){.active = false};
    if (!f->failed) {
        m->resource = fields_uuid(f, body, "resource");
        read_domain(m->domain, body, f);
        status = json_object_get(body, "status");
        if (!json_is_string(status))
            fields_fail(f, "status", status ? "not a text" : "missing");
        m->active = !f->failed && strcmp(json_string_value(status), "Active") == 0;
    }
    json_decref(body);
    return !f->failed;
}

bool inner_domain_equal(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);

    a_len -= a_len > 0 && a[a_len - 1] == '.';
    b_len -= b_len > 0 && b[b_len - 1] == '.';
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* ---- writing ---- */

static json_t *body_with(const struct uuid *resource, const char *domain)
{
    json_t *body = json_object();

    payload_set(body, "resource", payload_uuid(resource));
    payload_set(body, "domain", json_string(domain));
    return body;
}

/* `body` is given away. */
static size_t write_packet(uint8_t packet[INNER_PACKET_MAX], unsigned event, json_t *body)
{
    size_t room = INNER_PACKET_MAX - INNER_LEN_MIN;
    size_t len = json_dumpb(body, (char *)packet + INNER_LEN_MIN, room, JSON_COMPACT);

    json_decref(body);
    if (len == 0 || len > room)
        return 0;
    inner_write_goodbye(packet); /* which has no body */
    store_be16(packet + IPV6_OFF_PAYLOAD_LEN, (uint16_t)(INNER_LEN_MIN - IPV6_HEADER + len));
    packet[INNER_OFF_EVENT] = (uint8_t)event;
    return INNER_LEN_MIN + len;
}

size_t inner_write_assigned_ips(uint8_t packet[INNER_PACKET_MAX],
                                const struct inner_assigned_ips *m)
{
    json_t *body = body_with(&m->resource, m->domain), *list = json_array();
    char text[IP_TEXT_MAX];

    for (unsigned i = 0; i < m->n; i++)
        payload_append(list, json_string(ip_addr_format(&m->ips[i], text, sizeof text)));
    payload_set(body, "proxy_ips", list);
    return write_packet(packet, INNER_ASSIGNED_IPS, body);
}

size_t inner_write_domain_status(uint8_t packet[INNER_PACKET_MAX],
                                 const struct inner_domain_status *m)
{
    json_t *body = body_with(&m->resource, m->domain);

    payload_set(body, "status", json_string(m->active ? "Active" : "Inactive"));
    return write_packet(packet, INNER_DOMAIN_STATUS, body);
}
