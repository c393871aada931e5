/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the firmware's tables: what comes out is printable, in its bounds, and a UUID where it says so. */
#include "control/dmi.h"

#include <string.h>

#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dmi dmi;

    dmi_parse(&dmi, data, size);
    ASSERT(strnlen(dmi.serial, sizeof dmi.serial) < sizeof dmi.serial);
    for (const char *c = dmi.serial; *c; c++)
        ASSERT(*c >= ' ' && *c <= '~');
    ASSERT(strcmp(dmi.serial, "123456789") != 0);
    size_t len = strnlen(dmi.uuid, sizeof dmi.uuid);
    ASSERT(len == 0 || len == DMI_UUID_LEN);
    for (size_t i = 0; i < len; i++)
        ASSERT(strchr(i == 8 || i == 13 || i == 18 || i == 23 ? "-" : "0123456789abcdef",
                      dmi.uuid[i]));
    return 0;
}
