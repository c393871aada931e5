/* SPDX-License-Identifier: Apache-2.0 */
/* getrandom(2): waits for the kernel's generator at early boot, never fails afterwards. */
#include "platform/random.h"

#include <errno.h>
#include <sys/random.h>

#include "platform/base/err.h"

void random_bytes(void *out, size_t n)
{
    uint8_t *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        ASSERT(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

uint32_t random_u32(void)
{
    uint32_t v;
    random_bytes(&v, sizeof v);
    return v;
}
