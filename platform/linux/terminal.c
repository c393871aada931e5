/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the terminal hides what is typed, signals are blocked and come through a descriptor, so that none can end or stop
 * the process before the terminal is as it was.
 */
#include "platform/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum {
    /* A terminal keeps no more of a line, and drops the rest without a word; termios(3). */
    LINE_KEPT_MAX = 4095,
    BEHIND_WAIT_MS = 50 /* for what is pasted with the line */
};

struct hidden {
    int fd;             /* of the terminal */
    int signals;        /* signalfd */
    sigset_t set, mask; /* which; what was blocked before */
    struct termios old;
};

bool terminal_has_person(void)
{
    return isatty(STDIN_FILENO) == 1;
}

static enum err failed(char *why, unsigned why_size, const char *what)
{
    enum err err = err_from_errno(errno);
    snprintf(why, why_size, "%s: %s", what, strerror(errno));
    return err;
}

static enum err too_long(char *why, unsigned why_size, size_t max)
{
    snprintf(why, why_size, "what was typed is longer than %zu bytes", max);
    return ERR_NO_SPACE;
}

/* ---- a person ---- */

static bool hide(struct hidden *h)
{
    struct termios quiet;

    if (tcgetattr(h->fd, &h->old) != 0)
        return false;
    quiet = h->old;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    sigprocmask(SIG_BLOCK, &h->set, &h->mask);
    if (tcsetattr(h->fd, TCSAFLUSH, &quiet) == 0)
        return true;
    sigprocmask(SIG_SETMASK, &h->mask, NULL);
    return false;
}

static void show(const struct hidden *h)
{
    (void)tcsetattr(h->fd, TCSAFLUSH, &h->old);
    dprintf(h->fd, "\n"); /* instead of the one that was typed */
}

/* What ends the process ends it here; after a stop it goes on. */
static void deliver(const struct hidden *h)
{
    struct signalfd_siginfo info;

    if (read(h->signals, &info, sizeof info) == (ssize_t)sizeof info)
        (void)raise((int)info.ssi_signo);
    sigprocmask(SIG_SETMASK, &h->mask, NULL);
}

/* True: the terminal has something to read. False: a signal waits. */
static bool wait_for_line(const struct hidden *h)
{
    struct pollfd fds[] = {{.fd = h->fd, .events = POLLIN}, {.fd = h->signals, .events = POLLIN}};

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return fds[1].revents == 0;
}

/* A line that was cut, or one of several, is not what was meant. */
static enum err check_line(const struct secret *line, const struct hidden *h, char *why,
                           unsigned why_size)
{
    struct pollfd behind = {.fd = h->fd, .events = POLLIN};

    if (line->len >= LINE_KEPT_MAX) {
        snprintf(why, why_size,
                 "a terminal takes lines of less than %d bytes: write it to a file, and give that "
                 "as the standard input",
                 LINE_KEPT_MAX);
        return ERR_NO_SPACE;
    }
    if (poll(&behind, 1, BEHIND_WAIT_MS) > 0 && (behind.revents & POLLIN)) {
        snprintf(why, why_size, "more than one line was typed");
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* The terminal gives a line at a time. */
static enum err take_line(struct secret *out, const struct hidden *h, size_t max, char *why,
                          unsigned why_size)
{
    ssize_t n = read(h->fd, out->text + out->len, max + 1 - out->len);

    if (n < 0)
        return errno == EINTR ? ERR_AGAIN : failed(why, why_size, "the terminal cannot be read");
    out->len += (size_t)n;
    if (out->len > max)
        return too_long(why, why_size, max);
    return n == 0 || out->text[out->len - 1] == '\n' ? check_line(out, h, why, why_size)
                                                     : ERR_AGAIN;
}

static enum err ask_hidden(struct secret *out, struct hidden *h, size_t max, const char *prompt,
                           char *why, unsigned why_size)
{
    enum err err = ERR_AGAIN;

    while (err == ERR_AGAIN) {
        if (!hide(h))
            return failed(why, why_size, "the terminal cannot be made to hide a text");
        dprintf(h->fd, "%s", prompt);
        bool typed = true;
        while (err == ERR_AGAIN && (typed = wait_for_line(h)))
            err = take_line(out, h, max, why, why_size);
        show(h);
        if (!typed) {
            out->len = 0;
            deliver(h);
        } else {
            sigprocmask(SIG_SETMASK, &h->mask, NULL);
        }
    }
    return err;
}

static enum err read_person(struct secret *out, size_t max, const char *prompt, char *why,
                            unsigned why_size)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    struct hidden h;

    sigemptyset(&h.set);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaddset(&h.set, signals[i]);
    h.signals = signalfd(-1, &h.set, SFD_CLOEXEC);
    if (h.signals < 0)
        return failed(why, why_size, "signals cannot be watched");
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    h.fd = tty >= 0 ? tty : STDIN_FILENO;
    enum err err = ask_hidden(out, &h, max, prompt, why, why_size);
    if (tty >= 0)
        close(tty);
    close(h.signals);
    return err;
}

/* ---- a script ---- */

static enum err read_input(struct secret *out, size_t max, char *why, unsigned why_size)
{
    for (;;) {
        ssize_t n = read(STDIN_FILENO, out->text + out->len, max + 1 - out->len);
        if (n == 0)
            return ERR_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(why, why_size, "the standard input cannot be read");
        out->len += (size_t)n;
        if (out->len > max)
            return too_long(why, why_size, max);
    }
}

enum err terminal_read_secret(struct secret *out, size_t max, const char *prompt, char *why,
                              unsigned why_size)
{
    secret_new(out, max + 1);
    enum err err = terminal_has_person() ? read_person(out, max, prompt, why, why_size)
                                         : read_input(out, max, why, why_size);
    if (err != ERR_OK)
        secret_free(out);
    return err;
}

void terminal_ask(char *out, unsigned size, const char *prompt)
{
    fputs(prompt, stdout);
    fflush(stdout);
    if (!fgets(out, (int)size, stdin))
        out[0] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
}
