/* SPDX-License-Identifier: Apache-2.0 */
/* Any message as NetworkManager's PropertiesChanged. */
#include "platform/linux/nm_watch.c"

#include <stdint.h>

#include "tests/support/bus_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {"{sv}", "sv", "o", "s", "as", "ao", "a{sv}", "i"};
static const char *const names[] = {"PrimaryConnection", "/", "/org/freedesktop/x/1", "State", ""};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bus_alone a = bus_alone_open();
    const char *path;
    sd_bus_message *m = bus_message_new(&a);

    bus_message_script(m, data, size, types, sizeof types / sizeof types[0], names,
                       sizeof names / sizeof names[0]);
    if (bus_message_finish(m)) {
        int r = read_changed(m, &path);
        ASSERT(r <= 1 && (r <= 0 || !path || path[0] == '/'));
    }
    sd_bus_message_unref(m);
    bus_alone_close(&a);
    return 0;
}
