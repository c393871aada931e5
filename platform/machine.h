/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine and its system say about themselves. Control thread. */
#ifndef FZ_PLATFORM_MACHINE_H
#define FZ_PLATFORM_MACHINE_H

#include <stddef.h>

#include "platform/base/err.h"
#include "platform/file.h"

/* "": not known. */
struct machine {
    char os[64];         /* "Debian" */
    char os_version[36]; /* MAJOR.MINOR.PATCH: "12.0.0" */
    char arch[66];       /* "x86_64" */
    char kernel[66];     /* "6.18.0" */
    char host[66];       /* its name on the network */
};

void machine_describe(struct machine *out);

/* The id that the system gave itself when it was installed, as it is stored. */
enum err machine_read_id(struct file_content *out, char *why, unsigned why_size) MUST_USE;

/* The firmware's SMBIOS structures. Often for the administrator only. */
enum err machine_read_firmware(struct file_content *out, size_t max, char *why,
                               unsigned why_size) MUST_USE;

#endif
