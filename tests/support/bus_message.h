/* SPDX-License-Identifier: Apache-2.0 */
/* D-Bus messages to read from, put together without a bus: of a connection whose other end says nothing. */
#ifndef FZ_TEST_BUS_MESSAGE_H
#define FZ_TEST_BUS_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "platform/base/err.h"

struct bus_alone {
    sd_bus *bus;
    int other_end;
};

static inline struct bus_alone bus_alone_open(void)
{
    struct bus_alone a = {0};
    int fds[2];

    ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    a.other_end = fds[1];
    ASSERT(sd_bus_new(&a.bus) >= 0 && sd_bus_set_fd(a.bus, fds[0], fds[0]) >= 0 &&
           sd_bus_start(a.bus) >= 0);
    return a;
}

static inline void bus_alone_close(struct bus_alone *a)
{
    sd_bus_close_unref(a->bus);
    close(a->other_end);
}

/* To be filled. */
static inline sd_bus_message *bus_message_new(struct bus_alone *a)
{
    sd_bus_message *m = NULL;
    ASSERT(sd_bus_message_new_signal(a->bus, &m, "/a", "a.b", "C") >= 0);
    return m;
}

/* To be read. False: it is not complete. */
static inline bool bus_message_finish(sd_bus_message *m)
{
    return sd_bus_message_seal(m, 1, 0) >= 0 && sd_bus_message_rewind(m, true) >= 0;
}

/*
 * Fills it as `data` says, a byte per step, whose arguments follow it. What does not fit at its place is left out, and what is
 * open at the end is closed. types, names: what containers and strings are made of.
 */
static inline void bus_message_script(sd_bus_message *m, const uint8_t *data, size_t size,
                                      const char *const *types, size_t types_n,
                                      const char *const *names, size_t names_n)
{
    enum {
        DEPTH_MAX = 16
    };
    unsigned depth = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        uint8_t arg = data[i + 1];
        const char *type = types[arg % types_n], *name = names[arg % names_n];
        static const char containers[] = "aerv";
        int32_t number = (int8_t)arg;
        uint16_t port = (uint16_t)(arg * 257);
        uint8_t bytes[32];

        switch (data[i] % 8) {
        case 0:
        case 1:
        case 2:
        case 3:
            if (depth < DEPTH_MAX &&
                sd_bus_message_open_container(m, containers[data[i] % 8], type) >= 0)
                depth++;
            break;
        case 4:
            if (depth > 0 && sd_bus_message_close_container(m) >= 0)
                depth--;
            break;
        case 5:
            if (sd_bus_message_append_basic(m, 's', name) < 0)
                (void)sd_bus_message_append_basic(m, 'o', name);
            break;
        case 6:
            if (sd_bus_message_append_basic(m, 'i', &number) < 0)
                (void)sd_bus_message_append_basic(m, 'q', &port);
            break;
        case 7:
            memset(bytes, arg, sizeof bytes);
            (void)sd_bus_message_append_array(m, 'y', bytes, arg % sizeof bytes);
            break;
        }
    }
    while (depth > 0 && sd_bus_message_close_container(m) >= 0)
        depth--;
}

#endif
