/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two batches of lines: the log fills one while the thread writes the other. The log's lock, then ours, is the order; the
 * thread logs about itself without holding ours.
 */
#include "control/log_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/log_cleanup.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/time.h"
#include "platform/clock.h"
#include "platform/log_dir.h"
#include "platform/thread.h"

#define MODULE "log_file"

enum {
    NAMES_TRIED = 60,
    RESERVED_LINES = 8, /* for what the thread says when the queue is full */
    STOP_ROUNDS =
        3 /* that it writes after the stop: the lines, what was lost, and what that says */
};

#define CLEANUP_EVERY_NS (3600 * NS_PER_SEC)
#define CLOSE_WAIT_NS    (2 * NS_PER_SEC)

struct batch {
    char *bytes;
    size_t len;
    unsigned lines;
};

struct log_file {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, end;

    /* under the lock */
    struct batch filling;
    uint64_t overflowed; /* lines */
    bool stopping, ended, abandoned;

    /* the thread's */
    struct batch writing;
    struct log_dir *dir;
    char base[LOG_FILE_BASE_MAX + 1], name[LOG_DIR_NAME_SIZE];
    uint64_t named_s;     /* when the file got its name; seconds since 1970 */
    uint64_t cap, failed; /* failed: lines since the file could last be written */
    time_ns cleanup_at;
    bool failing, within_line; /* within_line: of the last line only a part has arrived */
};

/* The sink */

static void take_line(void *arg, const char *line, size_t len)
{
    struct log_file *f = arg;
    unsigned max = LOG_FILE_QUEUE_LINES;

    if (pthread_equal(pthread_self(), f->thread))
        max += RESERVED_LINES;
    pthread_mutex_lock(&f->lock);
    struct batch *b = &f->filling;
    if (b->lines >= max) {
        f->overflowed++;
    } else {
        memcpy(b->bytes + b->len, line, len);
        b->len += len;
        if (b->lines++ == 0)
            pthread_cond_signal(&f->wake);
    }
    pthread_mutex_unlock(&f->lock);
}

/* The file */

static uint64_t wall_s(void)
{
    uint64_t seconds;
    uint32_t nanoseconds;

    clock_wall(&seconds, &nanoseconds);
    return seconds;
}

static void name_at(const struct log_file *f, char out[LOG_DIR_NAME_SIZE], uint64_t seconds)
{
    char stamp[32];
    struct tm tm;

    gmtime_r(&(time_t){(time_t)seconds}, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d-%H-%M-%S", &tm);
    snprintf(out, LOG_DIR_NAME_SIZE, "%s.%s.log", f->base, stamp);
}

/* Another process may have begun its file in the same second: then the name is that of the next. */
static enum err next_file(struct log_file *f)
{
    char name[LOG_DIR_NAME_SIZE], latest[LOG_FILE_BASE_MAX + 16];
    uint64_t seconds = wall_s();
    enum err err = ERR_EXISTS;

    snprintf(latest, sizeof latest, "%s.latest", f->base);
    for (int i = 0; i < NAMES_TRIED && err == ERR_EXISTS; i++) {
        name_at(f, name, seconds + (uint64_t)i);
        err = log_dir_new_file(f->dir, name, latest);
    }
    if (err != ERR_OK)
        return err;
    memcpy(f->name, name, sizeof name);
    f->named_s = seconds;
    f->within_line = false;
    return ERR_OK;
}

/* At most once in a second, so the file may become larger. */
static void follow_large(struct log_file *f)
{
    if (wall_s() == f->named_s || next_file(f) != ERR_OK)
        return;
    f->cleanup_at = 0;
}

static enum err write_bytes(struct log_file *f, const char *bytes, size_t n, size_t *written)
{
    uint64_t size;
    enum err err = log_dir_size(f->dir, &size);

    *written = 0;
    if (err == ERR_OK && size >= f->cap / 2)
        follow_large(f);
    err = err == ERR_NOT_FOUND ? next_file(f) : ERR_OK;
    if (err == ERR_OK && f->within_line) {
        err = log_dir_write(f->dir, "\n", 1, written);
        f->within_line = err != ERR_OK;
    }
    return err == ERR_OK ? log_dir_write(f->dir, bytes, n, written) : err;
}

static uint64_t lines_in(const char *bytes, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += bytes[i] == '\n';
    return lines;
}

static void write_batch(struct log_file *f)
{
    const struct batch *b = &f->writing;
    size_t written;
    enum err err = write_bytes(f, b->bytes, b->len, &written);

    if (err == ERR_OK) {
        if (f->failing)
            log_info(MODULE, "the log file can be written again; lines that it lacks: %llu",
                     (unsigned long long)f->failed);
        f->failing = false;
        f->failed = 0;
        return;
    }
    if (written > 0)
        f->within_line = b->bytes[written - 1] != '\n';
    f->failed += lines_in(b->bytes + written, b->len - written);
    if (!f->failing)
        log_error(MODULE, "cannot write the log file %s: %s; lines are lost until that works again",
                  f->name, err_text(err));
    f->failing = true;
}

/* Cleaning up */

/* False: a file that was to go is still there. */
static bool remove_doomed(struct log_file *f, struct log_cleanup_file *files, size_t n)
{
    bool all = true;

    for (size_t i = 0; i < n; i++) {
        if (!files[i].doomed)
            continue;
        enum err err = log_dir_remove(f->dir, files[i].name);
        if (err == ERR_OK || err == ERR_NOT_FOUND) {
            files[i].name = ""; /* counts no more */
            continue;
        }
        log_warn(MODULE, "cannot delete the old log file %s: %s", files[i].name, err_text(err));
        files[i].stays = true;
        all = false;
    }
    return all;
}

static int64_t wall_ns(void)
{
    uint64_t seconds;
    uint32_t nanoseconds;
    clock_wall(&seconds, &nanoseconds);
    return (int64_t)(seconds * NS_PER_SEC + nanoseconds);
}

static void clean_up(struct log_file *f)
{
    struct log_dir_entry *entries;
    size_t n;
    enum err err = log_dir_list(f->dir, &entries, &n);

    if (err != ERR_OK) {
        log_debug(MODULE, "cannot list the log folder: %s", err_text(err));
        return;
    }
    struct log_cleanup_file *files = mem_zalloc(n, sizeof *files);
    for (size_t i = 0; i < n; i++) {
        files[i].name = entries[i].name;
        files[i].size = entries[i].size;
        files[i].mtime_ns = entries[i].mtime_ns;
        files[i].stays =
            strcmp(entries[i].name, f->name) == 0; /* however long it has been silent */
    }
    /* in place of each that could not be deleted another one may go */
    while (log_cleanup_plan(files, n, f->cap, wall_ns()) == ERR_OK && !remove_doomed(f, files, n))
        continue;
    free(files);
    free(entries);
}

/* The thread */

/* For pthread_cond_timedwait. Someone may set the wall clock; then the wait is shorter or longer, which does no harm. */
static struct timespec from_now(uint64_t ns)
{
    uint64_t until_ns = (uint64_t)wall_ns() + ns;
    return (struct timespec){(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};
}

/* Until there are lines or it is time to clean up; false: neither will be. Takes the lines. */
static bool wait_for_work(struct log_file *f, uint64_t *overflowed)
{
    pthread_mutex_lock(&f->lock);
    while (f->filling.lines == 0 && !f->stopping) {
        uint64_t left_ns = f->cleanup_at > clock_now() ? f->cleanup_at - clock_now() : 0;
        struct timespec until = from_now(left_ns);
        if (left_ns == 0 || pthread_cond_timedwait(&f->wake, &f->lock, &until) != 0)
            break;
    }
    struct batch taken = f->filling;
    f->filling = f->writing;
    f->writing = taken;
    *overflowed = f->overflowed;
    f->overflowed = 0;
    bool stopping = f->stopping;
    pthread_mutex_unlock(&f->lock);
    return !stopping;
}

static bool round_of_work(struct log_file *f)
{
    uint64_t overflowed;
    bool go_on = wait_for_work(f, &overflowed);

    if (f->writing.lines > 0)
        write_batch(f);
    f->writing.len = 0;
    f->writing.lines = 0;
    if (overflowed > 0)
        log_warn(MODULE, "lines that the log file lacks because they came too fast: %llu",
                 (unsigned long long)overflowed);
    if (go_on && clock_now() >= f->cleanup_at) {
        f->cleanup_at = clock_now() + CLEANUP_EVERY_NS;
        clean_up(f);
    }
    return go_on;
}

static void free_all(struct log_file *f)
{
    log_dir_close(f->dir);
    free(f->filling.bytes);
    free(f->writing.bytes);
    pthread_cond_destroy(&f->wake);
    pthread_cond_destroy(&f->end);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void *run(void *arg)
{
    struct log_file *f = arg;

    while (round_of_work(f))
        continue;
    for (int i = 1; i < STOP_ROUNDS; i++)
        round_of_work(f);
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    bool abandoned = f->abandoned;
    pthread_cond_signal(&f->end);
    pthread_mutex_unlock(&f->lock);
    if (abandoned)
        free_all(f);
    return NULL;
}

/* Life */

static enum err start(struct log_file *f, const char *dir, char *why, unsigned why_size)
{
    enum err err = log_dir_open(&f->dir, dir, why, why_size);

    if (err != ERR_OK)
        return err;
    err = next_file(f);
    if (err != ERR_OK) {
        snprintf(why, why_size, "cannot create a log file in %s: %s", dir, err_text(err));
        return err;
    }
    err = thread_start(&f->thread, "log", -1, run, f);
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot start the thread of the log file: %s", err_text(err));
    return err;
}

enum err log_file_open(struct log_file **out, const char *dir, const char *base, uint64_t cap_bytes,
                       char *why, unsigned why_size)
{
    const size_t batch_size =
        (size_t)(LOG_FILE_QUEUE_LINES + RESERVED_LINES) * LOG_LINE_MAX; /* touched only when used */
    size_t base_len = strlen(base);

    *out = NULL;
    ASSERT(base_len > 0 && base_len <= LOG_FILE_BASE_MAX && !strchr(base, '/'));
    if (cap_bytes == 0) {
        snprintf(why, why_size, "a cap of 0 bytes for the log files would leave none");
        return ERR_INVALID;
    }
    struct log_file *f = mem_zalloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake, NULL);
    pthread_cond_init(&f->end, NULL);
    f->filling.bytes = mem_zalloc(batch_size, 1);
    f->writing.bytes = mem_zalloc(batch_size, 1);
    f->cap = cap_bytes;
    memcpy(f->base, base, base_len + 1);
    enum err err = start(f, dir, why, why_size);
    if (err != ERR_OK) {
        free_all(f);
        return err;
    }
    log_set_sink(take_line, f);
    *out = f;
    return ERR_OK;
}

/* False: the disk hangs, and the thread with it. */
static bool wait_for_end(struct log_file *f)
{
    const struct timespec until = from_now(CLOSE_WAIT_NS);

    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    pthread_cond_signal(&f->wake);
    while (!f->ended && pthread_cond_timedwait(&f->end, &f->lock, &until) == 0)
        continue;
    bool ended = f->ended;
    pthread_mutex_unlock(&f->lock);
    return ended;
}

/* True: the thread frees all. It may have ended meanwhile. */
static bool abandon(struct log_file *f)
{
    pthread_t thread = f->thread;

    pthread_mutex_lock(&f->lock);
    f->abandoned = !f->ended;
    bool abandoned = f->abandoned;
    pthread_mutex_unlock(&f->lock);
    if (abandoned)
        pthread_detach(thread);
    return abandoned;
}

void log_file_close(struct log_file *f)
{
    if (!f)
        return;
    bool ended = wait_for_end(f);
    log_set_sink(NULL, NULL);
    if (!ended && abandon(f)) {
        log_warn(MODULE, "the log file could not be completed: the disk does not answer");
        return;
    }
    pthread_join(f->thread, NULL);
    free_all(f);
}
