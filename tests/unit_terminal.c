/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A secret typed at a terminal: it is not shown, and whatever ends the question leaves the terminal as it was. A child has
 * the terminal, the test types at its other end.
 */
#include "platform/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/bytes.h"

#define PROMPT "Token: "
#define SECRET "n.SFMyNTY.what-nobody-may-see"

enum {
    MAX = 60,
    MAX_LONG = 8192,
    GOT_IT = 17, /* exit codes of the child */
    GOT_OTHER = 18,
    GOT_ERROR = 19
};

struct person {
    int master;
    pid_t child;
    char seen[512];
    size_t seen_n;
};

/* stdin: where the child's standard input comes from; -1: the terminal. */
static _Noreturn void answer(int input, size_t max)
{
    struct secret s;
    char why[160];

    if (input >= 0)
        dup2(input, STDIN_FILENO);
    enum err err = terminal_read_secret(&s, max, PROMPT, why, sizeof why);
    if (err != ERR_OK) {
        dprintf(STDOUT_FILENO, "%s", why);
        _exit(GOT_ERROR);
    }
    bool good = strcmp(s.text, SECRET "\n") == 0 && s.len == strlen(SECRET "\n");
    secret_free(&s);
    _exit(good ? GOT_IT : GOT_OTHER);
}

static void start_with(struct person *p, size_t max)
{
    memset(p, 0, sizeof *p);
    p->child = forkpty(&p->master, NULL, NULL, NULL);
    assert_true(p->child >= 0);
    if (p->child == 0)
        answer(-1, max);
}

static void start(struct person *p)
{
    start_with(p, MAX);
}

/* Reads what the terminal shows until `text` has come `times` times. */
static void expect(struct person *p, const char *text, int times)
{
    for (;;) {
        int found = 0;
        for (const char *at = p->seen; (at = strstr(at, text)); at++)
            found++;
        if (found >= times)
            return;
        struct pollfd fd = {.fd = p->master, .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 10000), 1);
        ssize_t n = read(p->master, p->seen + p->seen_n, sizeof p->seen - 1 - p->seen_n);
        if (n <= 0)
            fail_msg("the terminal shows only '%s'", p->seen);
        p->seen_n += (size_t)n;
    }
}

static void type(const struct person *p, const char *text)
{
    assert_int_equal(write(p->master, text, strlen(text)), strlen(text));
}

static bool echoes(const struct person *p)
{
    struct termios t;
    assert_int_equal(tcgetattr(p->master, &t), 0);
    return (t.c_lflag & ECHO) != 0;
}

static int end(struct person *p)
{
    int status;
    assert_int_equal(waitpid(p->child, &status, 0), p->child);
    assert_null(strstr(p->seen, "SFMyNTY"));
    close(p->master);
    return status;
}

static void test_typed(void **state)
{
    struct person p;

    (void)state;
    start(&p);
    expect(&p, PROMPT, 1);
    assert_false(echoes(&p));
    type(&p, SECRET "\n");
    expect(&p, "\n", 1);
    assert_true(echoes(&p));
    assert_int_equal(WEXITSTATUS(end(&p)), GOT_IT);
}

static void test_too_long(void **state)
{
    struct person p;
    char text[MAX + 3];

    (void)state;
    memset(text, 'a', sizeof text);
    text[MAX + 1] = '\n';
    text[MAX + 2] = '\0';
    start(&p);
    expect(&p, PROMPT, 1);
    type(&p, text);
    expect(&p, "\n", 1);
    assert_true(echoes(&p));
    assert_int_equal(WEXITSTATUS(end(&p)), GOT_ERROR);
}

/* The terminal itself cuts a long line; what is left of it must not pass for the whole. */
static void test_cut(void **state)
{
    static const size_t lengths[] = {4093, 4094, 4095, 4096, 6000};
    static char text[6002];

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct person p;
        memset(text, 'a', lengths[i]);
        text[lengths[i]] = '\n';
        text[lengths[i] + 1] = '\0';
        start_with(&p, MAX_LONG);
        expect(&p, PROMPT, 1);
        for (size_t at = 0; text[at];) { /* in pieces: it goes through a buffer */
            ssize_t n = write(p.master, text + at, size_min(strlen(text + at), 512));
            assert_true(n > 0);
            at += (size_t)n;
            usleep(2000);
        }
        if (lengths[i] >= 4094)
            expect(&p, "give that as the standard input", 1);
        assert_int_equal(WEXITSTATUS(end(&p)), lengths[i] < 4094 ? GOT_OTHER : GOT_ERROR);
    }
}

/* As when a token was copied with a line feed in its midst. */
static void test_two_lines(void **state)
{
    struct person p;

    (void)state;
    start(&p);
    expect(&p, PROMPT, 1);
    type(&p, SECRET "\nmore\n");
    expect(&p, "more than one line was typed", 1);
    assert_true(echoes(&p));
    assert_int_equal(WEXITSTATUS(end(&p)), GOT_ERROR);
}

/* From the keyboard or from elsewhere: the terminal is put right, and the signal has its effect. */
static void test_signals(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof signals / sizeof signals[0]; i++) {
        struct person p;
        int signo = signals[i / 2];
        const char *key = signo == SIGINT ? "\x03" : signo == SIGQUIT ? "\x1c" : NULL;
        start(&p);
        expect(&p, PROMPT, 1);
        assert_false(echoes(&p));
        type(&p, "half of it");
        if (i % 2 == 0 || !key)
            assert_int_equal(kill(p.child, signo), 0);
        else
            type(&p, key);
        expect(&p, "\n", 1);
        assert_true(echoes(&p));
        int status = end(&p);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signo);
    }
}

/* Stopped and continued, it asks again and forgets what was typed before. */
static void test_stop(void **state)
{
    struct person p;

    (void)state;
    start(&p);
    expect(&p, PROMPT, 1);
    /* The kernel does not stop a process that nobody in its session could continue: it goes on at once. */
    assert_int_equal(kill(p.child, SIGTSTP), 0);
    expect(&p, PROMPT, 2);
    assert_false(echoes(&p));
    type(&p, SECRET "\n");
    assert_int_equal(WEXITSTATUS(end(&p)), GOT_IT);
}

/* Not from a terminal: all of it, and nothing is asked. */
static void test_script(void **state)
{
    int ends[2];
    struct person p = {0};

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], SECRET "\n", strlen(SECRET) + 1), strlen(SECRET) + 1);
    close(ends[1]);
    p.child = forkpty(&p.master, NULL, NULL, NULL);
    assert_true(p.child >= 0);
    if (p.child == 0)
        answer(ends[0], MAX);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(p.child, &status, 0), p.child);
    assert_int_equal(WEXITSTATUS(status), GOT_IT);
    struct pollfd fd = {.fd = p.master, .events = POLLIN};
    assert_true(poll(&fd, 1, 0) == 0 || (fd.revents & POLLIN) == 0);
    close(p.master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typed),   cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_two_lines),
        cmocka_unit_test(test_signals), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_script),
    };
    alarm(60); /* what hangs has failed */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
