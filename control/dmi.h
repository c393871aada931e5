/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the firmware calls this machine: its serial number and UUID, from the structure of type 1 ("System Information") of an
 * SMBIOS table. The table is untrusted. Pure; any thread. Source: DMTF DSP0134 6.1, 7.2; spec/portal.md 2.
 *
 *   structure   type (1 byte), length (1), handle (2), fields up to `length`; then strings, each ended by a zero byte,
 *               and one more zero byte, also where there are no strings. A field names a string by its number, from 1.
 */
#ifndef FZ_CONTROL_DMI_H
#define FZ_CONTROL_DMI_H

#include <stddef.h>
#include <stdint.h>

enum {
    DMI_TABLE_MAX = 1 << 20,
    DMI_SERIAL_MAX = 127,
    DMI_UUID_LEN = 36
};

struct dmi {
    char serial[DMI_SERIAL_MAX + 1]; /* "": there is none that means anything */
    char uuid[DMI_UUID_LEN + 1];     /* lower case; "": likewise */
};

void dmi_parse(struct dmi *out, const void *table, size_t len);

#endif
