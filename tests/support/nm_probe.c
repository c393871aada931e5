/* SPDX-License-Identifier: Apache-2.0 */
/* Prints "open ok", then "moved" for each time that NetworkManager has another primary connection; until it is ended. */
#include <stdio.h>

#include "platform/base/log.h"
#include "platform/linux/nm_watch.h"

static void moved(void *arg)
{
    (void)arg;
    printf("moved\n");
}

int main(void)
{
    struct loop *l;
    struct nm_watch *w;

    setvbuf(stdout, NULL, _IOLBF, 0);
    log_set_level(LOG_DEBUG);
    if (loop_new(&l) != ERR_OK || nm_watch_new(&w, l, moved, NULL) != ERR_OK) {
        printf("open failed\n");
        return 1;
    }
    printf("open ok\n");
    int status = loop_run(l) == ERR_OK ? 0 : 1;
    nm_watch_free(w);
    loop_free(l);
    return status;
}
