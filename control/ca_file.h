/* SPDX-License-Identifier: Apache-2.0 */
/* A file of certificates to trust beside the system's, looked at before it is used. Control thread. */
#ifndef FZ_CONTROL_CA_FILE_H
#define FZ_CONTROL_CA_FILE_H

#include "platform/base/err.h"

/* Whether the file can be read and holds at least one certificate (PEM). On failure `why` is one sentence. */
enum err ca_file_check(const char *path, char *why, unsigned why_size) MUST_USE;

#endif
