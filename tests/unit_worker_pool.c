/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of staged packets, with packets that move from peer to peer, against a naive account of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker_rig.c"

enum {
    MODEL_PEERS = 40,
    MODEL_STEPS = 60000
};

static struct model {
    uint32_t ids[MODEL_PEERS][PEER_STAGED_MAX];
    unsigned n[MODEL_PEERS];
    uint64_t state;
} model;

static unsigned chance(unsigned below)
{
    model.state = model.state * UINT64_C(6364136223846793005) + 1;
    return (unsigned)(model.state >> 33) % below;
}

static void model_pop(unsigned i)
{
    assert_true(model.n[i] > 0);
    memmove(&model.ids[i][0], &model.ids[i][1], --model.n[i] * sizeof model.ids[i][0]);
}

static unsigned model_most(void)
{
    unsigned most = 0;
    for (unsigned i = 0; i < MODEL_PEERS; i++)
        most = model.n[i] > most ? model.n[i] : most;
    return most;
}

static unsigned model_all(void)
{
    unsigned all = 0;
    for (unsigned i = 0; i < MODEL_PEERS; i++)
        all += model.n[i];
    return all;
}

static void model_push(unsigned i, uint32_t id)
{
    model.ids[i][model.n[i]++] = id;
}

/* The peer that lost its oldest packet because the pool was empty: one of those with the most. */
static void model_find_loser(unsigned pushed) REQUIRES_ROLE(role_worker)
{
    unsigned most = model_most(), losers = 0;

    if (model.n[pushed] == most) {
        model_pop(pushed);
        return;
    }
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        if (i == pushed || rig.peers[i]->staged_n == model.n[i])
            continue;
        assert_int_equal(model.n[i], most);
        assert_int_equal(rig.peers[i]->staged_n, most - 1);
        model_pop(i);
        losers++;
    }
    assert_int_equal(losers, 1);
}

static void model_step(uint32_t id) REQUIRES_ROLE(role_worker)
{
    struct worker *w = rig.engine->workers[0];
    unsigned i = chance(MODEL_PEERS), to = (i + 1 + chance(MODEL_PEERS - 1)) % MODEL_PEERS;
    unsigned what = chance(1000);

    if (what < 920) {
        bool full = model.n[i] == PEER_STAGED_MAX, empty = model_all() == w->stage.n;
        store_le32(stage_push(w, rig.peers[i], 64), id);
        if (full)
            model_pop(i);
        else if (empty)
            model_find_loser(i);
        model_push(i, id);
    } else if (what < 980) {
        if (rig.peers[i]->staged_n > 0) {
            stage_pop(w, rig.peers[i]);
            model_pop(i);
        }
    } else if (what < 995) {
        while (rig.peers[i]->staged_n > 0)
            stage_move_oldest(w, rig.peers[i], rig.peers[to]);
        for (; model.n[i] > 0; model_pop(i)) {
            if (model.n[to] == PEER_STAGED_MAX)
                model_pop(to);
            model_push(to, model.ids[i][0]);
        }
    } else {
        stage_purge(w, rig.peers[i], VERDICT_OUT_STAGE_PURGED);
        model.n[i] = 0;
    }
}

/* Every packet, every entry and every list. */
static void model_compare(void) REQUIRES_ROLE(role_worker)
{
    const struct stage_pool *s = &rig.engine->workers[0]->stage;
    static bool used[4096];
    unsigned listed = 0, holders = 0;

    memset(used, 0, sizeof used);
    assert_true(s->n <= ARRAY_LEN(used));
    for (unsigned i = 0; i < MODEL_PEERS; i++) {
        const struct peer *p = rig.peers[i];
        assert_int_equal(p->staged_n, model.n[i]);
        holders += model.n[i] > 0;
        for (unsigned k = 0; k < model.n[i]; k++) {
            uint16_t entry = p->staged[(p->staged_head + k) % PEER_STAGED_MAX];
            assert_true(entry < s->n && !used[entry]);
            used[entry] = true;
            assert_int_equal(load_le32(s->bytes + (size_t)entry * s->slot_size), model.ids[i][k]);
        }
    }
    assert_int_equal(s->free_n, s->n - model_all());
    for (unsigned k = 0; k < s->free_n; k++) {
        assert_false(used[s->free_list[k]]);
        used[s->free_list[k]] = true;
    }
    assert_int_equal(s->largest, model_most());
    for (unsigned n = 1; n <= PEER_STAGED_MAX; n++) {
        struct peer *const *link = &s->holders[n];
        for (const struct peer *p = *link; p; link = &p->staged_next, p = *link) {
            assert_int_equal(p->staged_n, n);
            assert_ptr_equal(p->staged_link, link);
            assert_true(++listed <= holders);
        }
    }
    assert_int_equal(listed, holders);
}

static void test_pool_against_model(void **state) REQUIRES_ROLE(role_worker)
{
    bool was_empty = false;
    (void)state;
    rig_start(&(struct engine_config){.workers = 1, .crypto = CRYPT_AUTO}, MODEL_PEERS);
    memset(&model, 0, sizeof model);
    model.state = 1;
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        model_step(step);
        was_empty = was_empty || rig.engine->workers[0]->stage.free_n == 0;
        if (step % 16 == 0)
            model_compare();
    }
    model_compare();
    assert_true(was_empty);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
