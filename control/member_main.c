/* SPDX-License-Identifier: Apache-2.0 */
/* See member_main.h. */
#include "control/member_main.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/ca_file.h"
#include "control/dmi.h"
#include "control/options.h"
#include "control/report.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/dns_control.h"
#include "platform/machine.h"
#include "platform/paths.h"
#include "platform/process.h"
#include "platform/secret.h"
#include "platform/udp.h"

#define MODULE "main"

enum {
    TARGET_MAX = 4096
};

/* Who this device is for the portal. */
struct device_facts {
    char external_id[IDENTITY_EXTERNAL_ID_MAX + 1];
    char name[OPTIONS_NAME_MAX + 1];
    char user_agent[IDENTITY_USER_AGENT_MAX + 1];
    struct dmi dmi;
};

static enum err find_external_id(struct device_facts *f, const struct options *o,
                                 const struct device_id_place *place, char *why, unsigned why_size)
{
    char found[IDENTITY_EXTERNAL_ID_MAX + 1];
    enum err err = ERR_OK;

    if (!o->firezone_id)
        err = device_id_find(found, place, why, why_size);
    if (err != ERR_OK)
        return err;
    err = identity_external_id(f->external_id, o->firezone_id ? o->firezone_id : found);
    ASSERT(err == ERR_OK); /* it was looked at where it came from */
    return ERR_OK;
}

static void find_name(struct device_facts *f, const struct options *o,
                      const struct machine *machine)
{
    char uuid[DEVICE_ID_UUID_LEN + 1];

    device_id_random_uuid(uuid);
    snprintf(f->name, sizeof f->name, "%s",
             o->firezone_name   ? o->firezone_name
             : machine->host[0] ? machine->host
                                : uuid);
}

static void make_user_agent(struct device_facts *f, const struct machine *machine,
                            const struct member_kind *kind)
{
    const struct identity_agent agent = {.os = machine->os,
                                         .os_version = machine->os_version,
                                         .component = kind->component,
                                         .version = kind->version,
                                         .arch = machine->arch,
                                         .kernel = machine->kernel};
    enum err err = identity_user_agent(f->user_agent, sizeof f->user_agent, &agent);
    ASSERT(err == ERR_OK); /* its words are cut so that it always fits */
}

/* Of no consequence where it fails; what it finds is in no message. */
static void read_firmware(struct device_facts *f)
{
    struct file_content tables;
    char reason[128];

    if (machine_read_firmware(&tables, DMI_TABLE_MAX, reason, sizeof reason) != ERR_OK) {
        log_debug(MODULE, "the firmware's tables cannot be read: %s", reason);
        return;
    }
    dmi_parse(&f->dmi, tables.bytes, tables.len);
    file_content_wipe(&tables);
}

static enum err find_facts(struct device_facts *f, const struct options *o,
                           const struct member_kind *kind, char *why, unsigned why_size)
{
    struct machine machine;
    enum err err = find_external_id(f, o, &kind->id, why, why_size);

    if (err != ERR_OK)
        return err;
    machine_describe(&machine);
    find_name(f, o, &machine);
    make_user_agent(f, &machine, kind);
    f->dmi = (struct dmi){0};
    if (kind->firmware)
        read_firmware(f);
    return ERR_OK;
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void fill(struct member_options *out, const struct options *o, const struct device_facts *f,
                 const struct secret *token)
{
    *out = (struct member_options){
        .api = o->api,
        .ca_file = o->ca_file,
        .token = token->text,
        .external_id = f->external_id,
        .name = f->name,
        .device_serial = or_null(f->dmi.serial),
        .device_uuid = or_null(f->dmi.uuid),
        .user_agent = f->user_agent,
        .max_partition_ns = o->max_partition_ns,
        .exit_when_up = o->exit_when_up,
        .dns = o->dns,
        .dns_asked = o->dns_asked != NULL,
    };
    options_tunnel(&out->tunnel, o);
    if (o->tun_name[0] == '\0')
        out->tunnel.tun_name = paths_tun();
}

/* The login URL, with a key of the right length. */
static enum err check_url(const struct member_options *m, const char *endpoint)
{
    static const char any_key[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const struct url_param params[] = {
        {"external_id", m->external_id},
        {"name", m->name},
        {"device_serial", m->device_serial},
        {"device_uuid", m->device_uuid},
        {"public_key", any_key},
        {NULL, NULL},
    };
    char *target = mem_zalloc(TARGET_MAX, 1);
    enum err err = url_target(target, TARGET_MAX, &m->api, endpoint, params);

    free(target);
    return err;
}

static enum err check(const struct member_options *m, const char *endpoint, char *why,
                      unsigned why_size)
{
    if (check_url(m, endpoint) != ERR_OK) {
        snprintf(why, why_size, "the URL to log in with is too long");
        return ERR_NO_SPACE;
    }
    return m->ca_file ? ca_file_check(m->ca_file, why, why_size) : ERR_OK;
}

static void log_without_effect(const struct options *o, const char *noun)
{
    if (o->telemetry_asked)
        log_info(MODULE, "%s: this %s measures nothing and sends nothing of the kind",
                 o->telemetry_asked, noun);
    if (o->flow_logs)
        log_warn(MODULE, "--flow-logs: this %s records no flows", noun);
}

/* Of a run the log has to tell why it ended; --check only answers. */
static int failed(const struct options *o, const char *why)
{
    if (!o->check)
        log_error(MODULE, "%s", why);
    return report_failure("%s", why);
}

static int run(const struct options *o, const struct member_options *m,
               const struct member_kind *kind)
{
    char why[REPORT_WHY_MAX] = "";

    if (o->permission_check && !process_may_configure_network())
        return failed(o, PROCESS_NETWORK_HINT);
    switch (kind->run(m, o, why, sizeof why)) {
    case MEMBER_STOPPED:
        return EXIT_SUCCESS;
    case MEMBER_FAILED:
        return report_failure("%s", why);
    case MEMBER_TOKEN_REJECTED:
        report_failure("%s", why);
        return o->compat_exit ? EXIT_FAILURE : EXIT_TOKEN_REJECTED;
    }
    return EXIT_FAILURE;
}

int member_main(const struct options *o, struct secret *token, const struct member_kind *kind)
{
    struct device_facts facts;
    struct member_options member;
    char why[REPORT_WHY_MAX];

    dns_control_recover();
    log_without_effect(o, kind->noun);
    if (o->raise_buffers)
        udp_raise_limits();
    if (find_facts(&facts, o, kind, why, sizeof why) != ERR_OK)
        return failed(o, why);
    if (!token->text && kind->load_token(token, o, why, sizeof why) != ERR_OK)
        return failed(o, why);
    fill(&member, o, &facts, token);
    if (check(&member, kind->endpoint, why, sizeof why) != ERR_OK)
        return failed(o, why);
    if (o->check)
        return report_text("the configuration is valid\n");
    return run(o, &member, kind);
}
