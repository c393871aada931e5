/* SPDX-License-Identifier: Apache-2.0 */
/* uname, os-release, and two files that the kernel or the system keeps. */
#include "platform/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "platform/linux/os_release.h"

enum {
    OS_RELEASE_MAX = 64 << 10,
    MACHINE_ID_MAX = 4096
};

static void describe_os(struct machine *out)
{
    static const char *const paths[] = {"/etc/os-release", "/usr/lib/os-release"};
    struct file_content content;
    struct os_release os;
    char why[64];

    snprintf(out->os, sizeof out->os, "Linux");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (file_read(&content, paths[i], OS_RELEASE_MAX, why, sizeof why) != ERR_OK)
            continue;
        os_release_parse(&os, content.bytes);
        file_content_wipe(&content);
        if (os.name[0] != '\0')
            snprintf(out->os, sizeof out->os, "%s", os.name);
        snprintf(out->os_version, sizeof out->os_version, "%s", os.version);
        return;
    }
}

void machine_describe(struct machine *out)
{
    struct utsname names;

    *out = (struct machine){0};
    describe_os(out);
    if (uname(&names) != 0)
        return;
    snprintf(out->arch, sizeof out->arch, "%s", names.machine);
    snprintf(out->kernel, sizeof out->kernel, "%s", names.release);
    snprintf(out->host, sizeof out->host, "%s", names.nodename);
    if (strcmp(out->host, "(none)") == 0)
        out->host[0] = '\0';
}

enum err machine_read_id(struct file_content *out, char *why, unsigned why_size)
{
    return file_read(out, "/etc/machine-id", MACHINE_ID_MAX, why, why_size);
}

enum err machine_read_firmware(struct file_content *out, size_t max, char *why, unsigned why_size)
{
    return file_read(out, "/sys/firmware/dmi/tables/DMI", max, why, why_size);
}
