/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this device is for the portal: its identifier, and the User-Agent, from which the portal reads the client's version.
 * Pure; any thread. Source: spec/portal.md 1.3 and 2, spec/platform.md 6.3.
 */
#ifndef FZ_CONTROL_PORTAL_IDENTITY_H
#define FZ_CONTROL_PORTAL_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

/* The keys that hide a machine's id from the portal: another program gets another identifier from it. */
#define IDENTITY_KEY_CLIENT  "e1e465ce763e4759945c650ac334501f"
#define IDENTITY_KEY_GATEWAY "753b38f9f96947ef8083802d5909a372"

enum {
    IDENTITY_HEX_LEN = 64,
    IDENTITY_EXTERNAL_ID_MAX = 255,
    IDENTITY_USER_AGENT_MAX = 255
};

/*
 * HMAC-SHA256 of the machine's id in lower-case hexadecimal. machine_id: the whole content of /etc/machine-id, with its
 * line feed. `out` has IDENTITY_HEX_LEN + 1 bytes.
 */
void identity_from_machine_id(char *out, const char *key, const void *machine_id, size_t len);

/* SHA-256 of a text in lower-case hexadecimal; `out` as above. */
void identity_hash(char *out, const char *text);

/* One of the four forms: hyphenated, in braces, behind "urn:uuid:", or 32 digits. */
bool identity_is_uuid(const char *text);

/*
 * What is sent as external_id: the hash of a UUID, any other id as it is. `out` has IDENTITY_EXTERNAL_ID_MAX + 1 bytes.
 * ERR_INVALID: the id is empty, too long, or has characters that are not printable ASCII.
 */
enum err identity_external_id(char *out, const char *id) MUST_USE;

struct identity_agent {
    const char *os, *os_version; /* "Debian", "12.0.0" */
    const char *component; /* "headless-client": what the portal selects its version limits by */
    const char *version;   /* MAJOR.MINOR.PATCH */
    const char *arch, *kernel; /* NULL: left out, both */
};

/*
 * "Debian/12.0.0 headless-client/1.5.12 (x86_64; 6.18.0)". The words of the portal's format must not fall apart, so spaces in
 * them become '-' and what is not printable ASCII is left out. ERR_INVALID: the version is not MAJOR.MINOR.PATCH, of which the
 * portal's channel would crash. ERR_NO_SPACE: longer than IDENTITY_USER_AGENT_MAX.
 */
enum err identity_user_agent(char *out, size_t size, const struct identity_agent *agent) MUST_USE;

#endif
