/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/ctl_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/ctl/ctl_client.h"

enum {
    WHY_MAX = 512,
    HELP_COLUMNS = 98
};

static bool is_own_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* What `su` leaves of another user's. */
static bool is_of_another(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_uid != geteuid();
}

const char *ctl_usual_path(char buf[CTL_PATH_MAX], const char *program)
{
    const char *told = getenv("XDG_RUNTIME_DIR");
    char usual[64];

    snprintf(usual, sizeof usual, "/run/user/%u", (unsigned)geteuid());
    if (told && told[0] == '/' && !is_of_another(told))
        snprintf(buf, CTL_PATH_MAX, "%s/%s.sock", told, program);
    else if (is_own_folder(usual))
        snprintf(buf, CTL_PATH_MAX, "%s/%s.sock", usual, program);
    else if (geteuid() == 0)
        snprintf(buf, CTL_PATH_MAX, "/run/%s.sock", program);
    else
        snprintf(buf, CTL_PATH_MAX, "/tmp/%s-%u/%s.sock", program, (unsigned)geteuid(), program);
    return buf;
}

void ctl_print_help(const struct ctl_help *h)
{
    int column = 0;

    printf("  %s%s%s\n", h->name, h->arguments[0] ? " " : "", h->arguments);
    for (const char *word = h->what; *word;) {
        int len = (int)strcspn(word, " ");
        if (column + len > HELP_COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += printf("%s%.*s", column == 0 ? "      " : " ", len, word);
        word += len + (word[len] == ' ');
    }
    putchar('\n');
}

static int fail(const struct ctl_command *c, const char *why)
{
    fprintf(stderr, "%s: %s\n", c->program, why);
    return EXIT_FAILURE;
}

static int print(const struct ctl_command *c, const json_t *answer)
{
    const char *error;
    bool done = ctl_succeeded(answer, &error);

    if (done || c->raw) {
        json_dumpf(answer, stdout, c->raw ? JSON_COMPACT : JSON_INDENT(2));
        putchar('\n');
        if (fflush(stdout) != 0 || ferror(stdout))
            return fail(c, "cannot write to the standard output");
    }
    if (done)
        return EXIT_SUCCESS;
    return fail(c, error ? error : "the answer does not say whether it is done");
}

int ctl_command_run(const struct ctl_command *c)
{
    json_t *command, *answer;
    char why[WHY_MAX];

    if (ctl_build(&command, c->words_n, c->words, c->is_text, why, sizeof why) != ERR_OK) {
        fprintf(stderr, "%s: ctl: %s; see '%s ctl help'\n", c->program, why, c->program);
        return CTL_EXIT_USAGE;
    }
    enum err err = ctl_call(&answer, c->path, command, c->timeout, why, sizeof why);
    json_decref(command);
    if (err != ERR_OK)
        return fail(c, why);
    int code = print(c, answer);
    json_decref(answer);
    return code;
}
