/* SPDX-License-Identifier: Apache-2.0 */
/* The limits that setsockopt(SO_SNDBUF) and SO_RCVBUF obey without CAP_NET_ADMIN. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/file.h"
#include "platform/udp.h"

static void raise_limit(const char *path, unsigned long bytes)
{
    struct file_content old;
    char why[64], text[24];

    if (file_read(&old, path, sizeof text, why, sizeof why) == ERR_OK) {
        unsigned long now = strtoul(old.bytes, NULL, 10);
        file_content_wipe(&old);
        if (now >= bytes)
            return;
    }
    int n = snprintf(text, sizeof text, "%lu\n", bytes);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)n) != n)
        log_info("udp", "%s cannot be raised to %lu: %m", path, bytes);
    if (fd >= 0)
        close(fd);
}

void udp_raise_limits(void)
{
    raise_limit("/proc/sys/net/core/wmem_max", UDP_SEND_BYTES_DEFAULT);
    raise_limit("/proc/sys/net/core/rmem_max", UDP_RECV_BYTES_DEFAULT);
}
