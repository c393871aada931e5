/* SPDX-License-Identifier: Apache-2.0 */
/* See resolv_watch.h. Events only say when to look; the text's hash says whether there is a change. */
#include "platform/linux/resolv_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "platform/base/blake2s.h"
#include "platform/base/mem.h"
#include "platform/file.h"

enum {
    FILE_MAX = 1 << 20,
    REASON_MAX = 128,
    FILE_EVENTS = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF,
    FOLDER_EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
};

static const time_ns SETTLE_NS = 200 * NS_PER_MS;

enum place {
    PLACE_FILE,   /* through links */
    PLACE_FOLDER, /* of the path */
    PLACE_TARGET, /* folder of the file that a link leads to */
    PLACES_N
};

struct resolv_watch {
    struct loop *loop;
    const char *path;
    loop_fn changed;
    void *arg;
    int fd; /* -1: the kernel refused */
    int watches[PLACES_N];
    struct loop_timer timer;
    uint8_t seen[BLAKE2S_HASH_LEN];
};

static void hash(const struct resolv_watch *w, uint8_t out[BLAKE2S_HASH_LEN])
{
    struct file_content now;
    char reason[REASON_MAX];

    memset(out, 0, BLAKE2S_HASH_LEN);
    if (file_read(&now, w->path, FILE_MAX, reason, sizeof reason) != ERR_OK)
        return;
    blake2s_hash2(out, now.bytes, now.len, NULL, 0);
    file_content_wipe(&now);
}

static void watch(struct resolv_watch *w, enum place place, const char *path, uint32_t events)
{
    int before = w->watches[place];

    w->watches[place] = path ? inotify_add_watch(w->fd, path, events) : -1;
    for (size_t i = 0; i < PLACES_N; i++) {
        if (w->watches[i] == before)
            return;
    }
    (void)inotify_rm_watch(w->fd, before);
}

/* Takes the text; NULL is fine. */
static void watch_folder_of(struct resolv_watch *w, enum place place, char *path)
{
    char *slash = path ? strrchr(path, '/') : NULL;

    if (slash)
        slash[slash == path ? 1 : 0] = '\0';
    watch(w, place, path, FOLDER_EVENTS | IN_ONLYDIR);
    free(path);
}

static void watch_all(struct resolv_watch *w)
{
    watch(w, PLACE_FILE, w->path, FILE_EVENTS);
    watch_folder_of(w, PLACE_FOLDER, mem_dup_text(w->path, strlen(w->path)));
    watch_folder_of(w, PLACE_TARGET, realpath(w->path, NULL));
}

static void fire(void *arg)
{
    struct resolv_watch *w = arg;
    uint8_t now[BLAKE2S_HASH_LEN];

    watch_all(w);
    hash(w, now);
    if (memcmp(now, w->seen, sizeof now) == 0)
        return;
    memcpy(w->seen, now, sizeof now);
    w->changed(w->arg);
}

static void on_events(void *arg, unsigned events)
{
    struct resolv_watch *w = arg;
    char buf[2048] __attribute__((aligned(__alignof__(struct inotify_event))));

    (void)events;
    while (read(w->fd, buf, sizeof buf) > 0)
        ;
    if (!loop_timer_armed(&w->timer))
        loop_timer_set(w->loop, &w->timer, loop_now(w->loop) + SETTLE_NS);
}

struct resolv_watch *resolv_watch_new(struct loop *l, const char *path, loop_fn changed, void *arg)
{
    struct resolv_watch *w = mem_zalloc(1, sizeof *w);

    *w = (struct resolv_watch){
        .loop = l, .path = path, .changed = changed, .arg = arg, .watches = {-1, -1, -1}};
    loop_timer_init(&w->timer, fire, w);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0 || loop_add_fd(l, w->fd, LOOP_READ, on_events, w) != ERR_OK)
        log_warn("dns", "changes of %s are not noticed: %s", path, strerror(errno));
    else
        watch_all(w);
    hash(w, w->seen);
    return w;
}

void resolv_watch_free(struct resolv_watch *w)
{
    if (!w)
        return;
    loop_timer_clear(w->loop, &w->timer);
    if (w->fd >= 0) {
        loop_del_fd(w->loop, w->fd);
        close(w->fd);
    }
    free(w);
}

void resolv_watch_settle(struct resolv_watch *w)
{
    hash(w, w->seen);
}
