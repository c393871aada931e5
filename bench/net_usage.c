/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_usage.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/net_clock.h"

double net_usage_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec ts;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return 0;
    return (double)ts.tv_sec + (double)ts.tv_nsec / (double)NS_PER_SEC;
}

double net_usage_user(pid_t pid)
{
    char path[64], line[512] = "";
    unsigned long long ticks = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    /* The second field is the name, which may have anything in it; the 14th is meant. */
    const char *after = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
    if (after == NULL ||
        sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu", &ticks) != 1)
        ticks = 0;
    fclose(f);
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

double net_usage_machine(void)
{
    unsigned long long idle, waiting, stolen;
    FILE *f = fopen("/proc/stat", "re");

    if (f == NULL)
        return 0;
    int n = fscanf(f, "cpu %*u %*u %*u %llu %llu %*u %*u %llu", &idle, &waiting, &stolen);
    fclose(f);
    /* What is left, since busy time is counted in ticks, which work that is paced can slip through; idle time is exact. */
    double all =
        (double)net_clock_now() / (double)NS_PER_SEC * (double)sysconf(_SC_NPROCESSORS_ONLN);
    return n == 3 ? all - (double)(idle + waiting + stolen) / (double)sysconf(_SC_CLK_TCK) : 0;
}

double net_usage_rss(pid_t pid)
{
    char path[64];
    unsigned long pages = 0;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}
