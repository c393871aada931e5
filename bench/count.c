/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of a thread's work, see count.h. */
#include "bench/count.h"

#include <linux/perf_event.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT ((void)0)
#define WITHOUT_CALLGRIND        1
#endif

/* jemalloc's, where it is linked in. */
int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
    __attribute__((weak));

enum {
    RATE_LOOPS = 20000,
    RATE_TRIES = 20,
    MULTIPLY_CYCLES = 3 /* latency of a 64-bit multiplication on every CPU that this runs on */
};

static time_ns now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (time_ns)t.tv_sec * NS_PER_SEC + (time_ns)t.tv_nsec;
}

static int open_event(uint64_t config)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = config,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    uint64_t value = 0;
    /* Some virtual machines open it and count nothing. */
    if (fd >= 0 && (read(fd, &value, sizeof value) != (ssize_t)sizeof value || value == 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static uint64_t read_event(int fd)
{
    uint64_t value = 0;
    if (fd < 0 || read(fd, &value, sizeof value) != (ssize_t)sizeof value)
        return 0;
    return value;
}

void count_open(struct count *c)
{
    size_t size = sizeof c->allocated_at;
    memset(c, 0, sizeof *c);
    c->fd_instructions = open_event(PERF_COUNT_HW_INSTRUCTIONS);
    c->fd_cycles = open_event(PERF_COUNT_HW_CPU_CYCLES);
    if (!mallctl || mallctl("thread.allocatedp", &c->allocated_at, &size, NULL, 0) != 0)
        c->allocated_at = NULL;
}

void count_close(struct count *c)
{
    if (c->fd_instructions >= 0)
        close(c->fd_instructions);
    if (c->fd_cycles >= 0)
        close(c->fd_cycles);
}

static void read_events(const struct count *c, struct counts *out)
{
    out->instructions = read_event(c->fd_instructions);
    out->cycles = read_event(c->fd_cycles);
    out->allocated = c->allocated_at ? *c->allocated_at : 0;
}

/* The clock is read inside of the counters, whose system calls are not work. */
void count_begin(struct count *c)
{
    read_events(c, &c->start);
    c->start.ns = now();
    CALLGRIND_TOGGLE_COLLECT;
}

void count_end(struct count *c)
{
    struct counts end;
    CALLGRIND_TOGGLE_COLLECT;
    end.ns = now();
    read_events(c, &end);
    c->sum.ns += end.ns - c->start.ns;
    c->sum.instructions += end.instructions - c->start.instructions;
    c->sum.cycles += end.cycles - c->start.cycles;
    c->sum.allocated += end.allocated - c->start.allocated;
}

bool count_available(void)
{
    struct count c;
    count_open(&c);
    bool available = c.fd_instructions >= 0 && c.fd_cycles >= 0;
    count_close(&c);
    return available;
}

double count_clock_rate(void)
{
    double best = 0;
    for (int i = 0; i < RATE_TRIES; i++) {
        uint64_t x = 3;
        time_ns start = now();
        for (int k = 0; k < RATE_LOOPS; k++) {
#if defined(__x86_64__)
            __asm__ volatile("imul %0, %0" : "+r"(x));
#else
            x *= x;
            __asm__ volatile("" : "+r"(x));
#endif
        }
        double ns = (double)(now() - start);
        if (ns > 0 && RATE_LOOPS * MULTIPLY_CYCLES / ns > best)
            best = RATE_LOOPS * MULTIPLY_CYCLES / ns;
    }
    return best;
}

bool count_knows_callgrind(void)
{
#ifdef WITHOUT_CALLGRIND
    return false;
#else
    return true;
#endif
}
