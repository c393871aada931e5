/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of their own: madvise and mlock work on whole ones. */
#include "platform/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"

void secret_new(struct secret *s, size_t max)
{
    size_t size = ALIGN_UP(max + 1, (size_t)sysconf(_SC_PAGESIZE));
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    mem_check(pages == MAP_FAILED ? NULL : pages);
    if (madvise(pages, size, MADV_DONTDUMP) != 0)
        log_debug("secret", "this kernel cannot keep pages out of core dumps");
    if (mlock(pages, size) != 0)
        log_debug("secret", "the limit of locked memory is too low: a secret may be swapped out");
    *s = (struct secret){.text = pages, .size = size};
}

void secret_free(struct secret *s)
{
    if (s->text) {
        secure_wipe(s->text, s->size);
        munmap(s->text, s->size);
    }
    *s = (struct secret){0};
}

bool secret_take_variable(struct secret *out, const char *name)
{
    size_t len = strlen(name);
    char **kept = environ;

    *out = (struct secret){0};
    for (char **entry = environ; entry && *entry; entry++) {
        if (strncmp(*entry, name, len) != 0 || (*entry)[len] != '=') {
            *kept++ = *entry;
            continue;
        }
        const char *value = *entry + len + 1;
        if (!out->text && value[0] != '\0') {
            secret_new(out, strlen(value));
            out->len = strlen(value);
            memcpy(out->text, value, out->len);
        }
        secure_wipe(*entry, strlen(*entry));
    }
    if (kept)
        *kept = NULL;
    return out->text != NULL;
}
