/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/micro_team.h"

#include <sched.h>
#include <time.h>

#include <ck_pr.h>

#include "platform/thread.h"

enum {
    SPINS_MAX = 20000
};

bool micro_team_begin(struct micro_team *t)
{
    while (!__atomic_load_n(&t->started, __ATOMIC_ACQUIRE)) { /* pairs with micro_team_run */
        if (micro_team_over(t))
            return false;
        sched_yield();
    }
    return true;
}

bool micro_team_over(struct micro_team *t)
{
    return __atomic_load_n(&t->stopped, __ATOMIC_ACQUIRE); /* pairs with micro_team_run */
}

void micro_team_spin(unsigned *turns)
{
    ck_pr_stall();
    if (++*turns % SPINS_MAX == 0)
        sched_yield();
}

bool micro_team_run(struct micro_team *t, const struct micro_member *members, unsigned n,
                    unsigned ms)
{
    pthread_t threads[MICRO_THREADS_MAX];
    unsigned started = 0;

    ASSERT(n <= MICRO_THREADS_MAX);
    *t = (struct micro_team){0};
    while (started < n && thread_start(&threads[started], "fz-micro", thread_cpu_nth(started),
                                       members[started].run, members[started].arg) == ERR_OK)
        started++;
    if (started == n) {
        struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
        __atomic_store_n(&t->started, 1, __ATOMIC_RELEASE);
        while (nanosleep(&left, &left) != 0)
            ;
    }
    __atomic_store_n(&t->stopped, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return started == n;
}
