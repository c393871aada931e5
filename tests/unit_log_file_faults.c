/* SPDX-License-Identifier: Apache-2.0 */
/* The log file on a disk that hangs, is full or breaks: the folder here is a fake that does what the test says. */
#include "control/log_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/log_dir.h"

#define BASE "firezone-headless-client"
#define OLD  "gui-client.2026-01-01-12-34-"

/* The folder. */
struct log_dir {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char text[4 << 20]; /* all that was written to all files */
    size_t n;
    size_t room;         /* bytes that writes still take, then `error` */
    enum err error;      /* of writes */
    enum err open_error; /* of new files */
    bool hangs, inside;  /* writes wait; one does */
    bool gone;           /* the file */
    unsigned files, removals;
    unsigned entries; /* that a list has, each of 10 MiB, all old */
    bool lists_own;   /* and the file itself, the largest and oldest of all */
    char name[LOG_DIR_NAME_SIZE];
    enum err remove_error;
};

static struct log_dir disk;

enum err log_dir_open(struct log_dir **out, const char *path, char *why, unsigned why_size)
{
    (void)path;
    (void)why;
    (void)why_size;
    *out = &disk;
    return ERR_OK;
}

void log_dir_close(struct log_dir *d)
{
    (void)d;
}

enum err log_dir_new_file(struct log_dir *d, const char *name, const char *latest)
{
    assert_string_equal(latest, BASE ".latest");
    assert_memory_equal(name, BASE ".20", strlen(BASE ".20"));
    pthread_mutex_lock(&d->lock);
    enum err err = d->open_error;
    if (err == ERR_OK) {
        d->files++;
        snprintf(d->name, sizeof d->name, "%s", name);
        d->gone = false;
    }
    pthread_mutex_unlock(&d->lock);
    return err;
}

enum err log_dir_size(struct log_dir *d, uint64_t *size)
{
    pthread_mutex_lock(&d->lock);
    enum err err = d->gone ? ERR_NOT_FOUND : ERR_OK;
    *size = d->n;
    pthread_mutex_unlock(&d->lock);
    return err;
}

enum err log_dir_write(struct log_dir *d, const char *bytes, size_t n, size_t *written)
{
    pthread_mutex_lock(&d->lock);
    d->inside = true;
    pthread_cond_broadcast(&d->changed);
    while (d->hangs)
        pthread_cond_wait(&d->changed, &d->lock);
    *written = n < d->room ? n : d->room;
    d->room -= *written;
    assert_true(d->n + *written < sizeof d->text);
    memcpy(d->text + d->n, bytes, *written);
    d->n += *written;
    d->text[d->n] = '\0';
    d->inside = false;
    enum err err = *written == n ? ERR_OK : d->error;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return err;
}

enum err log_dir_list(struct log_dir *d, struct log_dir_entry **out, size_t *n)
{
    *n = d->entries + d->lists_own;
    *out = calloc(*n + 1, sizeof **out);
    snprintf((*out)[d->entries].name, LOG_DIR_NAME_SIZE, "%s", d->name);
    (*out)[d->entries].size = 1 << 30;
    (*out)[d->entries].mtime_ns = -1;
    for (size_t i = 0; i < d->entries; i++) {
        snprintf((*out)[i].name, sizeof(*out)[i].name, OLD "%02zu.log", i);
        (*out)[i].size = 10 << 20;
        (*out)[i].mtime_ns = (int64_t)i;
    }
    return ERR_OK;
}

enum err log_dir_remove(struct log_dir *d, const char *name)
{
    pthread_mutex_lock(&d->lock);
    assert_string_not_equal(name, d->name);
    d->removals++;
    enum err err = strcmp(name, OLD "00.log") == 0 ? d->remove_error : ERR_OK;
    pthread_mutex_unlock(&d->lock);
    return err;
}

/* The rest of the rig: a fresh disk, stderr in a file. */

static FILE *errors;
static int real_stderr;
static struct log_file *f;

static void start(void)
{
    char why[256];
    fflush(stderr);
    real_stderr = dup(2);
    errors = tmpfile();
    assert_non_null(errors);
    dup2(fileno(errors), 2);
    assert_int_equal(log_file_open(&f, "/", BASE, LOG_FILE_CAP, why, sizeof why), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    memset(&disk, 0, sizeof disk);
    pthread_mutex_init(&disk.lock, NULL);
    pthread_cond_init(&disk.changed, NULL);
    disk.room = SIZE_MAX;
    disk.error = ERR_NO_SPACE;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dup2(real_stderr, 2);
    close(real_stderr);
    fclose(errors);
    return 0;
}

/* How often stderr has the words. */
static unsigned said(const char *words)
{
    static char text[4 << 20];
    ssize_t n = pread(fileno(errors), text, sizeof text - 1, 0);
    unsigned times = 0;
    assert_true(n >= 0);
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, words)); at++)
        times++;
    return times;
}

static void wait_until_written(const char *words)
{
    for (int i = 0; i < 5000; i++) {
        pthread_mutex_lock(&disk.lock);
        bool found = strstr(disk.text, words);
        pthread_mutex_unlock(&disk.lock);
        if (found)
            return;
        usleep(1000);
    }
    fail_msg("'%s' is not written", words);
}

static void wait_until_said(const char *words)
{
    for (int i = 0; i < 5000 && said(words) == 0; i++)
        usleep(1000);
    assert_int_equal(said(words), 1);
}

static void set_disk(size_t room, bool hangs)
{
    pthread_mutex_lock(&disk.lock);
    disk.room = room;
    disk.hangs = hangs;
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.lock);
}

/* Logs a line that the thread takes on its own, and waits until it stands in its write. */
static void hang(void)
{
    set_disk(SIZE_MAX, true);
    log_info("test", "the first");
    pthread_mutex_lock(&disk.lock);
    while (!disk.inside)
        pthread_cond_wait(&disk.changed, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
}

static void hanging_disk_holds_up_nobody(void **state)
{
    (void)state;
    start();
    hang();
    time_ns before = clock_now();
    for (int i = 0; i < LOG_FILE_QUEUE_LINES + 77; i++)
        log_info("test", "line %d.", i);
    assert_true(clock_now() - before < 5 * NS_PER_SEC);
    assert_int_equal(said("came too fast"), 0);
    set_disk(SIZE_MAX, false);
    wait_until_written("test: line 1023.\n");
    wait_until_written(
        " WARN log_file: lines that the log file lacks because they came too fast: 77\n");
    assert_null(strstr(disk.text, "line 1024."));
    assert_int_equal(said("came too fast: 77"), 1);
    assert_int_equal(said("line 1100."), 1); /* stderr has them all */
    log_info("test", "behind");
    log_file_close(f);
    assert_non_null(strstr(disk.text, "test: behind\n"));
}

/* Also when it is closed at once, before the count is written. */
static void close_writes_the_count(void **state)
{
    (void)state;
    start();
    hang();
    for (int i = 0; i < LOG_FILE_QUEUE_LINES + 5; i++)
        log_info("test", "line %d.", i);
    set_disk(SIZE_MAX, false);
    log_file_close(f);
    assert_non_null(strstr(disk.text, "test: line 1023.\n"));
    assert_non_null(strstr(disk.text, "came too fast: 5\n"));
}

static void full_disk_loses_lines_and_says_so_once(void **state)
{
    (void)state;
    start();
    log_info("test", "before");
    wait_until_written("test: before\n");
    set_disk(30, false); /* a stamp and a part of the level */
    log_info("test", "cut");
    wait_until_said("ERROR log_file: cannot write the log file " BASE ".20");
    assert_int_equal(said("no space left; lines are lost until that works again\n"), 1);
    for (int i = 0; i < 50; i++) {
        log_info("test", "lost %d", i);
        usleep(200);
    }
    assert_int_equal(said("cannot write the log file"), 1);
    set_disk(SIZE_MAX, false);
    log_info("test", "after");
    wait_until_written("the log file can be written again; lines that it lacks: ");
    log_file_close(f);
    /* the cut line has got an end, and the next one begins on its own line */
    const char *after = strstr(disk.text, "test: after\n");
    assert_non_null(after);
    while (after > disk.text && after[-1] != '\n')
        after--;
    assert_memory_equal(after, "20", 2);
    const char *cut = strstr(disk.text, "test: before\n") + strlen("test: before\n");
    assert_int_equal(strcspn(cut, "\n"), 30);
    /* all lines are accounted for: the cut one, the 50, and what the log said itself */
    const char *count = strstr(disk.text, "it lacks: ");
    unsigned lost = (unsigned)strtoul(count + 10, NULL, 10), have = 0;
    for (const char *at = disk.text; (at = strstr(at, "test: lost ")); at++)
        have++;
    assert_int_equal(lost + have, 52);
    assert_int_equal(disk.files, 1);
}

static void missing_file_that_cannot_be_made(void **state)
{
    (void)state;
    start();
    pthread_mutex_lock(&disk.lock);
    disk.gone = true;
    disk.open_error = ERR_PERMISSION;
    pthread_mutex_unlock(&disk.lock);
    log_info("test", "lost");
    wait_until_said("permission denied; lines are lost");
    pthread_mutex_lock(&disk.lock);
    disk.open_error = ERR_OK;
    pthread_mutex_unlock(&disk.lock);
    log_info("test", "found");
    wait_until_written("test: found\n");
    log_file_close(f);
    assert_int_equal(disk.files, 2);
    assert_null(strstr(disk.text, "test: lost"));
}

static void closes_on_a_full_disk(void **state)
{
    (void)state;
    start();
    set_disk(0, false);
    for (int i = 0; i < 100; i++)
        log_info("test", "lost %d", i);
    log_file_close(f);
    assert_int_equal(said("cannot write the log file"), 1);
    assert_int_equal(disk.n, 0);
}

/* The thread is left behind, and ends once the disk lets it. */
static void close_gives_a_hanging_disk_up(void **state)
{
    (void)state;
    start();
    hang();
    time_ns before = clock_now();
    log_file_close(f);
    assert_in_range(clock_now() - before, NS_PER_SEC, 20 * NS_PER_SEC);
    assert_int_equal(said("WARN log_file: the log file could not be completed"), 1);
    log_info("test", "to nobody");
    set_disk(SIZE_MAX, false);
    wait_until_written("test: the first\n");
    usleep(50000);
    assert_null(strstr(disk.text, "to nobody"));
}

/* Another one goes in place of the file that cannot be deleted. */
static void undeletable_file(void **state)
{
    (void)state;
    disk.entries = 13;
    disk.remove_error = ERR_PERMISSION;
    start();
    wait_until_said("WARN log_file: cannot delete the old log file " OLD
                    "00.log: permission denied\n");
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&disk.lock);
        bool done = disk.removals == 4; /* 0 in vain, 1, 2, then 3 */
        pthread_mutex_unlock(&disk.lock);
        if (done)
            break;
        usleep(1000);
    }
    log_file_close(f);
    assert_int_equal(disk.removals, 4);
}

static void own_file_stays(void **state)
{
    (void)state;
    disk.entries = 3;
    disk.lists_own = true;
    start();
    log_info("test", "a line");
    wait_until_written("a line");
    log_file_close(f);
    assert_int_equal(disk.removals, 3);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hanging_disk_holds_up_nobody),
        TEST(close_writes_the_count),
        TEST(full_disk_loses_lines_and_says_so_once),
        TEST(missing_file_that_cannot_be_made),
        TEST(closes_on_a_full_disk),
        TEST(undeletable_file),
        TEST(own_file_stays),
        TEST(close_gives_a_hanging_disk_up),
    };
    return cmocka_run_group_tests_name("log_file_faults", tests, NULL, NULL);
}
