/* SPDX-License-Identifier: Apache-2.0 */
/* The system-preferred generator of CNG. */
#include "platform/random.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <bcrypt.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

void random_bytes(void *out, size_t n)
{
    uint8_t *p = out;

    while (n > 0) {
        ULONG part = (ULONG)size_min(n, 1u << 30);
        ASSERT(BCryptGenRandom(NULL, p, part, BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0);
        p += part;
        n -= part;
    }
}

uint32_t random_u32(void)
{
    uint32_t v;
    random_bytes(&v, sizeof v);
    return v;
}
