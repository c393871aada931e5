/* SPDX-License-Identifier: Apache-2.0 */
/* Any message as the properties of systemd-resolved. What is found has an address and a port, and is none of the left out ones. */
#include "platform/linux/resolved_servers.h"

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/bus_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OWN_IFINDEX = 7
};

static const char *const types[] = {"{sv}",     "sv",         "a(iiay)", "a(iiayqs)", "(iiay)",
                                    "(iiayqs)", "iiay",       "iiayqs",  "s",         "as",
                                    "(iias)",   "a(iayayqs)", "y"};
static const char *const names[] = {
    "DNS",   "DNSEx", "CurrentDNSServer", "CurrentDNSServerEx", "FallbackDNS", "FallbackDNSEx",
    "LLMNR", ""};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bus_alone a = bus_alone_open();
    struct sock_addr out[RESOLVERS_MAX];
    unsigned n = 0;
    sd_bus_message *m = bus_message_new(&a);

    bus_message_script(m, data, size, types, sizeof types / sizeof types[0], names,
                       sizeof names / sizeof names[0]);
    if (bus_message_finish(m)) {
        enum err err = resolved_servers_read(m, OWN_IFINDEX, out, &n);
        ASSERT(n <= RESOLVERS_MAX && (err == ERR_OK || n == 0));
    }
    for (unsigned i = 0; i < n; i++) {
        ASSERT(out[i].port != 0 && out[i].ip.family != ADDR_NONE && out[i].scope != OWN_IFINDEX);
        for (unsigned k = 0; k < i; k++)
            ASSERT(!sock_addr_equal(&out[i], &out[k]));
    }
    sd_bus_message_unref(m);
    bus_alone_close(&a);
    return 0;
}
