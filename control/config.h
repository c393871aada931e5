/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wg-quick style configuration file of `firezone-headless-client wireguard`: text to plain values.
 *
 * The grammar is that of wg-quick and `wg setconf`: sections [Interface] and [Peer], `Key = Value` lines, names in any
 * case, `#` comments, several Address, DNS and AllowedIPs lines and comma lists. Stricter than they are: unknown keys,
 * unknown sections and repeated single-valued keys are errors. Keys that only wg-quick's shell can honour (PreUp, ...) are not errors: each becomes a notice. No message ever contains key material.
 *
 * Control role. config_parse is pure apart from allocating its result; config_load reads a file.
 */
#ifndef FZ_CONTROL_CONFIG_H
#define FZ_CONTROL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "control/config_dns.h"
#include "control/device.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    CONFIG_FILE_MAX = 16 << 20, /* bytes; 10,000 peers need about 2 MiB */
    CONFIG_MTU_MIN = 576,
    CONFIG_MTU_MIN_V6 = 1280,
    CONFIG_MTU_MAX = 65535
};

enum config_table {
    CONFIG_TABLE_AUTO,
    CONFIG_TABLE_OFF,
    CONFIG_TABLE_NUMBER
};

struct config {
    struct ip_prefix *addresses; /* of the TUN; host bits kept */
    size_t addresses_n;
    struct config_dns dns;
    uint32_t mtu; /* 0: automatic */
    enum config_table table;
    uint32_t table_number; /* CONFIG_TABLE_NUMBER only; `main` is 254, `default` 253 */
    /* has_private_key and replace_peers are always true; AllowedIPs are masked, in file order. */
    struct device_update device;
    char **notices; /* one sentence each, for the log at level warn */
    size_t notices_n;
};

struct config_error {
    unsigned line; /* from 1; 0: the file as a whole */
    char key[32];  /* as written in the file, or "" */
    char message[160];
};

/*
 * Parses `len` bytes. On ERR_PARSE `e` says where and why and `out` is empty (config_fini is allowed). Memory
 * exhaustion is fatal.
 */
enum err config_parse(struct config *out, const char *text, size_t len,
                      struct config_error *e) MUST_USE;

/*
 * Reads and parses a file. On failure `why` holds one clear sentence that names file, line and key. Adds a notice if
 * everyone may read the file. ERR_NOT_FOUND, ERR_PERMISSION, ERR_IO, ERR_NO_SPACE (too large) or ERR_PARSE.
 */
enum err config_load(struct config *out, const char *path, char *why, unsigned why_size) MUST_USE;

/* Wipes keys and frees. */
void config_fini(struct config *c);

#endif
