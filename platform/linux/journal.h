/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process has changed on the host and a kill would leave there: written to a file of its own in paths_run() before each change,
 * and removed with the last one. The file of a process that lives is locked by it. The next one to start finds those that are not, and
 * undoes what they tell, if they are of the same boot and network namespace. Control thread.
 *
 * Without a folder that only we can write to there is no journal, and all else works.
 */
#ifndef FZ_LINUX_JOURNAL_H
#define FZ_LINUX_JOURNAL_H

#include "platform/linux/journal_text.h"

struct journal {
    int fd; /* -1: nothing was noted yet */
    unsigned n;
    bool none; /* it cannot be written, which has been said */
    char name[64];
};

void journal_init(struct journal *j);
/* Before the change. */
void journal_note(struct journal *j, const struct journal_entry *entry);
/* done: everything is undone. Else the file stays for the next one. */
void journal_close(struct journal *j, bool done);

/* True: all is undone. */
typedef bool (*journal_undo_fn)(void *arg, const struct journal_text *text);
/* Calls `undo` for each journal of this namespace that a dead process has left, and removes it. No two processes are here at once. */
void journal_recover(journal_undo_fn undo, void *arg);

#endif
