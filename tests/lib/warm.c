/* Making and comparing. On the test's one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/warm.h"

#include "tests/lib/family_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

const char *const warm_names[WARM_ALL] = {"TransXSSM",         "llama",
                                          "pha dss",           "pha gated",
                                          "short convolution", "gated delta rule",
                                          "sliding windows",   "SSD alone",
                                          "wide TransXSSM",    "wide llama",
                                          "wide pha dss",      "wide pha gated"};

enum { N_OWN = WARM_ALL - WARM_WIDE };

static void (*const families[])(struct maker *, const struct maker_sizes *) = {
    family_maker_lfm2, family_maker_qwen3_5, family_maker_gemma3};

static struct maker made[WARM_ALL]; /* zeroed: not made */
static uint64_t rng_state = 0x9E3779B97F4A7C15u;

static void make(struct maker *m, int kind, const struct maker_sizes *sizes)
{
    maker_open(m);
    if (kind == 0)
        maker_transxssm(m, sizes);
    else if (kind == WARM_LLAMA)
        maker_llama(m, sizes);
    else
        maker_pha(m, sizes, kind == 2 ? "dss" : "gated");
}

int warm_make(void **state)
{
    struct maker_sizes sizes = {WARM_VOCAB, 48, 3, 4, 2, 40, WARM_CONTEXT};
    (void)state;
    for (int i = 0; i < N_OWN; i++)
        make(&made[i], i, &sizes);
    for (int i = N_OWN; i < WARM_MODELS - 1; i++) {
        maker_open(&made[i]);
        families[i - N_OWN](&made[i], &sizes);
    }
    sizes.layers = 1;
    make(&made[WARM_MODELS - 1], 0, &sizes);
    return 0;
}

static void make_wide(int model)
{
    struct maker_sizes sizes = {WARM_VOCAB, 384, 2, 6, 6, 352, WARM_CONTEXT};
    int kind = model - WARM_WIDE;
    sizes.layers = kind < 2 ? 2 : 1; /* PHA has all mixers in each */
    make(&made[model], kind, &sizes);
}

int warm_remove(void **state)
{
    (void)state;
    for (int i = 0; i < WARM_ALL; i++)
        if (made[i].dir[0])
            maker_close(&made[i]);
    return 0;
}

struct engine_options warm_options(int model)
{
    if (!made[model].dir[0])
        make_wide(model);
    return (struct engine_options){.model_dir = made[model].dir,
                                   .n_threads = 1,
                                   .max_seqs = 4,
                                   .step_rows = 23,
                                   .no_tokenizer = true,
                                   .prefix_cache = true};
}

void warm_open(struct warm *w, int model, const struct engine_options *o)
{
    struct engine_options cold = *o;
    *w = (struct warm){.name = warm_names[model]};
    cold.prefix_cache = false;
    cold.speculate = ENGINE_SPECULATE_OFF;
    cold.checkpoint_bytes = cold.memory_bytes = 0;
    drive_open(&w->cold, &cold);
    drive_open(&w->hot, o);
}

void warm_close(struct warm *w)
{
    struct engine_stats l = warm_load(w);
    assert_int_equal(l.running + l.waiting + l.slots_used + l.pages_used, 0);
    drive_close(&w->cold);
    drive_close(&w->hot);
}

size_t warm_bytes(const struct engine_options *o, int max_seqs, int n_pages)
{
    struct engine_options plain = *o;
    struct drive d;
    size_t more = n_pages ? 1 : 0;
    plain.prefix_cache = false;
    plain.memory_bytes = 0;
    drive_open(&d, &plain);
    const struct engine_info *i = engine_info(d.e);
    size_t bytes = (size_t)max_seqs * i->slot_bytes + (size_t)n_pages * i->page_bytes;
    more *= i->page_bytes / 2; /* what finds the prefixes */
    drive_close(&d);
    plain.prefix_cache = true;
    plain.max_seqs = max_seqs;
    for (plain.memory_bytes = bytes;; plain.memory_bytes += more ? more : 1024) {
        struct engine *e = NULL;
        int found = -1;
        if (engine_open(&e, &plain, NULL) == 0)
            found = engine_info(e)->n_pages;
        bool paged = e && engine_info(e)->page_bytes;
        engine_close(e);
        if (found >= n_pages || (found >= 0 && !paged))
            return plain.memory_bytes;
    }
}

struct engine_request warm_request(const int32_t *ids, size_t n, int max_tokens)
{
    struct engine_request r = {.ids = ids, .n_ids = n, .gen = drive_greedy(max_tokens)};
    r.gen.logprobs = ENGINE_MAX_TOP;
    r.gen.ignore_eos = true;
    return r;
}

char *warm_expected(struct warm *w, const struct engine_request *r, int choice,
                    size_t *len)
{
    struct engine_request one = *r;
    one.id = 1;
    drive_clear(&w->cold);
    assert_int_equal(engine_submit(w->cold.e, &one, NULL), 0);
    drive_run(&w->cold);
    return drive_transcript(&w->cold, 1, choice, len);
}

uint64_t warm_submit(struct warm *w, const struct engine_request *r)
{
    struct engine_request mine = *r;
    struct err err = {0};
    mine.id = ++w->last_id;
    if (engine_submit(w->hot.e, &mine, &err))
        fail_msg("%s: %s", w->name, err.text);
    return mine.id;
}

void warm_expect(struct warm *w, uint64_t id, const struct engine_request *r,
                 const char *what)
{
    for (int c = 0; c < r->gen.n; c++) {
        size_t n, n_got;
        char *expected = warm_expected(w, r, c, &n);
        char *got = drive_transcript(&w->hot, id, c, &n_got);
        const struct event *end = drive_finish(&w->hot, id, c);
        if (n != n_got || memcmp(expected, got, n) != 0)
            fail_msg("%s, %s: prompt of %zu, %d of it found, choice %d: not the bits of "
                     "a miss",
                     w->name, what, r->n_ids, end ? end->n_cached : -1, c);
        free(expected);
        free(got);
    }
}

/* The n-th event of a kind of a choice. */
static const struct event *nth(const struct drive *d, uint64_t id, int choice,
                               enum event_kind kind, size_t n)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct event *ev = &d->notes[i].ev;
        if (ev->request == id && ev->choice == choice && ev->kind == kind && n-- == 0)
            return ev;
    }
    fail_msg("request %llu, choice %d: an event is missing", (unsigned long long)id,
             choice);
    return NULL;
}

void warm_score(struct warm *w, uint64_t id, const struct engine_request *r, int choice)
{
    int32_t ids[WARM_CONTEXT];
    memcpy(ids, r->ids, r->n_ids * sizeof *ids);
    size_t n = drive_tokens(&w->hot, id, choice, ids + r->n_ids, WARM_CONTEXT - r->n_ids);
    struct engine_request all = {.id = 1, .ids = ids, .n_ids = r->n_ids + n};
    all.gen = drive_greedy(0);
    all.gen.prompt_logprobs = true;
    all.gen.logprobs = r->gen.logprobs;
    drive_clear(&w->cold);
    assert_int_equal(engine_submit(w->cold.e, &all, NULL), 0);
    drive_run(&w->cold);
    for (size_t i = 0; i < n; i++) {
        const struct event *a = nth(&w->cold, 1, 0, EVENT_PROMPT, r->n_ids + i);
        const struct event *b = nth(&w->hot, id, choice, EVENT_TOKEN, i);
        if (a->id != b->id || a->logprob != b->logprob || a->n_top != b->n_top ||
            memcmp(a->top, b->top, (size_t)a->n_top * sizeof *a->top) != 0)
            fail_msg("%s: prompt of %zu, choice %d: token %zu has log-probability %.9g, "
                     "when it is read %.9g",
                     w->name, r->n_ids, choice, i, (double)b->logprob,
                     (double)a->logprob);
    }
}

int warm_ask(struct warm *w, const struct engine_request *r)
{
    uint64_t id = warm_submit(w, r);
    drive_run(&w->hot);
    warm_expect(w, id, r, "alone");
    int n_cached = drive_finish(&w->hot, id, 0)->n_cached;
    drive_clear(&w->hot);
    return n_cached;
}

struct engine_stats warm_load(const struct warm *w)
{
    struct engine_stats l;
    engine_stats(w->hot.e, &l);
    return l;
}

/* ---- ids -------------------------------------------------------------------- */

void warm_seed(uint64_t seed)
{
    rng_state = seed;
}

int warm_below(int n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (int)((rng_state >> 33) % (uint64_t)n);
}

void warm_draw(int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = warm_below(WARM_VOCAB);
}

void warm_fill(int32_t *ids, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((seed = seed * 1103515245u + 12345u) >> 16) % WARM_VOCAB;
}
