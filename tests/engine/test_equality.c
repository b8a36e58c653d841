/*
 * The same request gives the same bits. Over every golden folder and larger models of
 * each architecture: any split of the prompt, any row budget, any number of threads,
 * any kernel set, any other requests in the batch, any earlier contents of memory.
 *
 * Scored logits are compared bit by bit; in a batch every event carries the
 * log-probabilities of the 20 best tokens, which are compared bit by bit too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/cpu.h"
#include "engine/run/score.h"
#include "tests/lib/drive.h"
#include "tests/lib/golden.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_MADE = 4,
    N_WIDE = 4,          /* so wide that q4 holds their matrices; small ones are q8 */
    N_HELD = 4 + N_WIDE, /* in other formats than the files' */
    N_LARGE = N_MADE + N_HELD,
    MOST_MODELS = GOLDEN_MAX + N_LARGE,
    MOST_TOKENS = 256
};

/* A model under test with enough ids to cross several pages and attention blocks. */
struct subject {
    const char *name, *dir;
    enum engine_weights weights;
    enum engine_kv kv;
    int context, n_vocab, n_ids;
    int32_t ids[MOST_TOKENS];
    float *logits; /* owns; [n_ids][n_vocab], scored whole by one thread */
};

static struct golden goldens[GOLDEN_MAX];
static struct maker made[N_MADE + N_WIDE];
static struct subject subjects[MOST_MODELS];
static size_t n_goldens, n_subjects;
static uint64_t rng_state = 0x9E3779B97F4A7C15u;

static int random_below(int n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (int)((rng_state >> 33) % (uint64_t)n);
}

static const char *best_cpu(void)
{
    const struct kernels *k;
    assert_int_equal(cpu_kernels(&k, NULL, NULL), 0);
    return k->name;
}

static struct engine_options options(const struct subject *s)
{
    return (struct engine_options){.model_dir = s->dir,
                                   .cpu = best_cpu(),
                                   .weights = s->weights,
                                   .kv = s->kv,
                                   .n_threads = 1,
                                   .context_tokens = s->context,
                                   .max_seqs = 2,
                                   .no_tokenizer = true};
}

/* ---- scoring ---------------------------------------------------------------- */

struct rows {
    float *to;
    const float *want; /* compared as bits when given */
    int n_vocab;
    size_t n;
    const char *what;
};

static int take_row(void *arg, size_t t, const float *logits)
{
    struct rows *r = arg;
    size_t n = (size_t)r->n_vocab;
    assert_int_equal(t, r->n++);
    if (r->to)
        memcpy(r->to + t * n, logits, n * sizeof *logits);
    if (r->want && memcmp(r->want + t * n, logits, n * sizeof *logits) != 0)
        fail_msg("%s: the logits after %zu tokens differ", r->what, t + 1);
    return 0;
}

static void score(struct engine *e, const struct subject *s, int n_ids, const int *chunks,
                  size_t n_chunks, struct rows *r)
{
    struct err err = {0};
    if (engine_score(e, s->ids, (size_t)n_ids, chunks, n_chunks, take_row, r, &err))
        fail_msg("%s: %s", s->name, err.text);
    assert_int_equal(r->n, n_ids);
}

static void expect_split(struct engine *e, const struct subject *s, int n_ids,
                         const int *chunks, size_t n_chunks, const char *what)
{
    char name[128];
    snprintf(name, sizeof name, "%s, %s of %d", s->name, what,
             n_chunks ? chunks[0] : n_ids);
    struct rows r = {.want = s->logits, .n_vocab = s->n_vocab, .what = name};
    score(e, s, n_ids, chunks, n_chunks, &r);
}

/* ---- the models ------------------------------------------------------------- */

static void expect_held_as_asked(const struct subject *s, const struct engine_info *info)
{
    size_t q4_bytes = 0;
    for (int i = 0; i < info->n_formats; i++)
        if (strcmp(info->formats[i].name, "q4") == 0)
            q4_bytes = info->formats[i].bytes;
    assert_true(s->weights != ENGINE_WEIGHTS_Q4 || q4_bytes > info->weights_bytes / 2);
}

static void add_subject(const struct subject *what)
{
    struct subject *s = &subjects[n_subjects++];
    struct engine_options o;
    struct drive d;
    int n_vocab = what->n_vocab, context = what->context;
    *s = *what;
    s->n_ids = context < MOST_TOKENS ? context : MOST_TOKENS;
    for (int i = 0; i < s->n_ids; i++)
        s->ids[i] = random_below(n_vocab);
    s->logits = malloc((size_t)s->n_ids * (size_t)n_vocab * sizeof *s->logits);
    assert_non_null(s->logits);
    o = options(s);
    drive_open(&d, &o);
    expect_held_as_asked(s, engine_info(d.e));
    struct rows r = {.to = s->logits, .n_vocab = n_vocab, .what = s->name};
    score(d.e, s, s->n_ids, &s->n_ids, 1, &r);
    drive_close(&d);
}

static void make_four(struct maker *m, const struct maker_sizes *sizes,
                      const struct maker_sizes *pha)
{
    for (int i = 0; i < 4; i++)
        maker_open(&m[i]);
    maker_transxssm(&m[0], sizes);
    maker_llama(&m[1], sizes);
    maker_pha(&m[2], pha, "dss");
    maker_pha(&m[3], pha, "gated");
}

/* Wide enough that linear layers are divided over threads, odd enough to leave rests; and
 * as wide as q4 wants them, whose PHA has all mixers in one layer. */
static void make_models(void)
{
    static const struct maker_sizes sizes = {301, 120, 3, 6, 3, 200, 200};
    static const struct maker_sizes wide = {97, 384, 2, 6, 6, 352, 80};
    static const struct maker_sizes wide_pha = {97, 384, 1, 6, 6, 352, 80};
    make_four(made, &sizes, &sizes);
    make_four(made + N_MADE, &wide, &wide_pha);
}

static int load(void **state)
{
    static const struct {
        const char *name;
        int made;
        enum engine_weights weights;
        enum engine_kv kv;
    } large[N_LARGE] = {
        {"made TransXSSM", 0, ENGINE_WEIGHTS_OWN, ENGINE_KV_F32},
        {"made llama", 1, ENGINE_WEIGHTS_OWN, ENGINE_KV_F32},
        {"made pha dss", 2, ENGINE_WEIGHTS_OWN, ENGINE_KV_F32},
        {"made pha gated", 3, ENGINE_WEIGHTS_OWN, ENGINE_KV_F32},
        {"made TransXSSM, q8, f16", 0, ENGINE_WEIGHTS_Q8, ENGINE_KV_F16},
        {"made llama, q8, q8", 1, ENGINE_WEIGHTS_Q8, ENGINE_KV_Q8},
        {"made pha dss, q8, q8", 2, ENGINE_WEIGHTS_Q8, ENGINE_KV_Q8},
        {"made pha gated, bf16, f16", 3, ENGINE_WEIGHTS_BF16, ENGINE_KV_F16},
        {"wide TransXSSM, q4, f16", 4, ENGINE_WEIGHTS_Q4, ENGINE_KV_F16},
        {"wide llama, q4, q8", 5, ENGINE_WEIGHTS_Q4, ENGINE_KV_Q8},
        {"wide pha dss, q4, f16", 6, ENGINE_WEIGHTS_Q4, ENGINE_KV_F16},
        {"wide pha gated, q4, q8", 7, ENGINE_WEIGHTS_Q4, ENGINE_KV_Q8},
    };
    (void)state;
    n_goldens = golden_all(goldens);
    make_models();
    for (int i = 0; i < N_LARGE; i++)
        add_subject(&(struct subject){.name = large[i].name,
                                      .dir = made[large[i].made].dir,
                                      .weights = large[i].weights,
                                      .kv = large[i].kv,
                                      .context = large[i].made < N_MADE ? 200 : 80,
                                      .n_vocab = large[i].made < N_MADE ? 301 : 97});
    for (size_t i = 0; i < n_goldens; i++)
        add_subject(&(struct subject){.name = goldens[i].name,
                                      .dir = goldens[i].dir,
                                      .context = goldens[i].context,
                                      .n_vocab = goldens[i].n_vocab});
    return 0;
}

static int unload(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_subjects; i++)
        free(subjects[i].logits);
    for (int i = 0; i < N_MADE + N_WIDE; i++)
        maker_close(&made[i]);
    golden_free(goldens, n_goldens);
    return 0;
}

/* ---- split = whole ---------------------------------------------------------- */

static void expect_pieces(struct engine *e, const struct subject *s, int size)
{
    int chunks[MOST_TOKENS];
    size_t n = 0;
    for (int left = s->n_ids; left > 0; left -= chunks[n++])
        chunks[n] = left < size ? left : size;
    expect_split(e, s, s->n_ids, chunks, n, "pieces");
}

static void expect_random_pieces(struct engine *e, const struct subject *s)
{
    int chunks[MOST_TOKENS], most = 2 + random_below(40);
    size_t n = 0;
    for (int left = s->n_ids; left > 0; left -= chunks[n++]) {
        chunks[n] = 1 + random_below(most);
        chunks[n] = chunks[n] < left ? chunks[n] : left;
    }
    expect_split(e, s, s->n_ids, chunks, n, "random pieces");
}

static void any_split_gives_the_bits_of_the_whole(void **state)
{
    static const int sizes[] = {1, 15, 16, 17, 64, 65};
    (void)state;
    for (size_t i = 0; i < n_subjects; i++) {
        const struct subject *s = &subjects[i];
        struct engine_options o = options(s);
        struct drive d;
        drive_open(&d, &o);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            expect_pieces(d.e, s, sizes[k]);
        for (int k = 0; k < 5; k++)
            expect_random_pieces(d.e, s);
        drive_close(&d);
    }
}

static void every_split_in_two_gives_the_bits_of_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_subjects; i++) {
        const struct subject *s = &subjects[i];
        struct engine_options o = options(s);
        struct drive d;
        int n = s->n_ids < 70 ? s->n_ids : 70; /* past an attention block */
        drive_open(&d, &o);
        int step = i < N_LARGE ? 7 : 1; /* the large ones: some of the cuts */
        for (int cut = 1; cut < n; cut += step)
            expect_split(d.e, s, n, (const int[]){cut, n - cut}, 2, "two pieces");
        drive_close(&d);
    }
}

static void continuing_gives_the_bits_of_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_subjects; i++) {
        const struct subject *s = &subjects[i];
        struct engine_options o = options(s);
        struct drive d;
        struct err err = {0};
        drive_open(&d, &o);
        struct rows r = {.want = s->logits, .n_vocab = s->n_vocab, .what = s->name};
        score(d.e, s, 33, NULL, 0, &r);
        for (int at = 33, more; at < s->n_ids; at += more) {
            more = 1 + random_below(s->n_ids - at);
            if (engine_score_more(d.e, s->ids + at, (size_t)more, take_row, &r, &err))
                fail_msg("%s: %s", s->name, err.text);
        }
        drive_close(&d);
    }
}

/* ---- row budget, threads, kernel sets, again -------------------------------- */

static void expect_same_under(const struct subject *s, const struct engine_options *o,
                              const char *what)
{
    struct drive d;
    drive_open(&d, o);
    expect_split(d.e, s, s->n_ids, NULL, 0, what);
    expect_split(d.e, s, s->n_ids, NULL, 0, what); /* and again in the same engine */
    drive_close(&d);
}

static void any_row_budget_gives_the_same_bits(void **state)
{
    static const int budgets[] = {1, 23, 100, 256};
    (void)state;
    for (size_t i = 0; i < n_subjects; i++)
        for (size_t k = 0; k < sizeof budgets / sizeof *budgets; k++) {
            struct engine_options o = options(&subjects[i]);
            o.max_seqs = 1; /* the engine raises the budget to max_seqs and a page */
            o.step_rows = budgets[k];
            expect_same_under(&subjects[i], &o, "row budget");
        }
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    static const int threads[] = {2, 3, 5};
    (void)state;
    for (size_t i = 0; i < n_subjects; i++)
        for (size_t k = 0; k < sizeof threads / sizeof *threads; k++) {
            struct engine_options o = options(&subjects[i]);
            o.n_threads = threads[k];
            expect_same_under(&subjects[i], &o, "threads");
        }
}

static void every_kernel_set_gives_the_same_bits(void **state)
{
    const struct kernels *k;
    int tried = 0;
    (void)state;
    for (int c = 0; cpu_level(c); c++) {
        if (cpu_kernels(&k, cpu_level(c), NULL))
            continue;
        tried++;
        for (size_t i = 0; i < n_subjects; i++) {
            struct engine_options o = options(&subjects[i]);
            o.cpu = cpu_level(c);
            expect_same_under(&subjects[i], &o, cpu_level(c));
        }
    }
    if (tried < 2)
        skip();
}

/* ---- batch = single --------------------------------------------------------- */

enum { N_REQUESTS = 9, MOST_CHOICES = 3 };

struct plan_of_one {
    int at_step, n_ids;
    int32_t ids[MOST_TOKENS];
    struct gen_params gen;
    char *alone[MOST_CHOICES]; /* owns; transcripts */
    size_t alone_len[MOST_CHOICES];
};

static const int prompt_lengths[N_REQUESTS] = {1, 70, 16, 33, 2, 15, 48, 17, 31};

static struct gen_params mixed_params(int i)
{
    struct gen_params g = drive_greedy(1 + i * 3);
    g.logprobs = ENGINE_MAX_TOP;
    g.prompt_logprobs = i % 2 == 0;
    g.seed = 1000 + (uint64_t)i;
    g.n = i % 3 == 1 ? MOST_CHOICES : 1;
    g.temperature = i % 3 ? 0.9f : 0;
    g.top_k = i % 4 == 1 ? 10 : 0;
    g.top_p = i % 4 == 2 ? 0.8f : 1;
    g.min_p = i % 4 == 3 ? 0.02f : 0;
    g.repetition_penalty = i % 5 == 0 ? 1.2f : 1;
    return g;
}

static void make_requests(struct plan_of_one *q, const struct subject *s)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        int room = s->context - 1 - i * 3;
        q[i] = (struct plan_of_one){.at_step = i * i / 2, .gen = mixed_params(i)};
        q[i].n_ids = prompt_lengths[i] < room ? prompt_lengths[i] : room;
        for (int t = 0; t < q[i].n_ids; t++)
            q[i].ids[t] = random_below(s->n_vocab);
    }
}

static void run_alone(struct drive *d, struct plan_of_one *q)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        drive_submit(d, (uint64_t)i, q[i].ids, (size_t)q[i].n_ids, &q[i].gen);
        drive_run(d);
        for (int c = 0; c < q[i].gen.n; c++)
            q[i].alone[c] = drive_transcript(d, (uint64_t)i, c, &q[i].alone_len[c]);
        drive_clear(d);
    }
}

static void expect_alone(const struct drive *d, const struct plan_of_one *q, int i,
                         const char *what)
{
    for (int c = 0; c < q[i].gen.n; c++) {
        size_t len;
        char *got = drive_transcript(d, (uint64_t)i, c, &len);
        if (len != q[i].alone_len[c] || memcmp(got, q[i].alone[c], len) != 0)
            fail_msg(
                "%s: request %d (prompt of %d), choice %d: not what it was told alone",
                what, i, q[i].n_ids, c);
        free(got);
    }
}

static void run_together(struct drive *d, const struct plan_of_one *q, const char *what)
{
    int next = 0, step = 0;
    do {
        for (; next < N_REQUESTS && q[next].at_step <= step; next++)
            drive_submit(d, (uint64_t)next, q[next].ids, (size_t)q[next].n_ids,
                         &q[next].gen);
        step++;
    } while (drive_step(d) > 0 || next < N_REQUESTS);
    for (int i = 0; i < N_REQUESTS; i++)
        expect_alone(d, q, i, what);
    drive_clear(d);
}

/* Odd requests are paused now and then, or cancelled; the even ones must not notice, and
 * a paused one must only be later. */
static void run_disturbed(struct drive *d, const struct plan_of_one *q, const char *what)
{
    for (int i = 0; i < N_REQUESTS; i++)
        drive_submit(d, (uint64_t)i, q[i].ids, (size_t)q[i].n_ids, &q[i].gen);
    for (int step = 0; step < 12; step++) {
        for (uint64_t id = 1; id < N_REQUESTS; id += 2)
            engine_pause(d->e, id, random_below(3) == 0);
        drive_step(d);
        if (step % 4 == 3) /* 3, then 7; 1 and 5 end by themselves */
            engine_cancel(d->e, step == 3 ? 3 : 7, FINISH_ABORT);
    }
    for (uint64_t id = 1; id < N_REQUESTS; id += 2)
        engine_pause(d->e, id, false);
    drive_run(d);
    for (int i = 0; i < N_REQUESTS; i++)
        if (i != 3 && i != 7)
            expect_alone(d, q, i, what);
    drive_clear(d);
}

static void in_company(const struct subject *s, int n_threads)
{
    static struct plan_of_one q[N_REQUESTS];
    struct engine_options o = options(s);
    struct drive d;
    o.max_seqs = 7;   /* fewer than come: some wait */
    o.step_rows = 23; /* the least: prompts are read in pieces */
    o.n_threads = n_threads;
    make_requests(q, s);
    drive_open(&d, &o);
    run_alone(&d, q);
    run_together(&d, q, s->name);
    run_disturbed(&d, q, s->name);
    drive_close(&d);
    for (int i = 0; i < N_REQUESTS; i++)
        for (int c = 0; c < q[i].gen.n; c++)
            free(q[i].alone[c]);
}

static void other_requests_change_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_subjects; i++)
        in_company(&subjects[i], 1);
    for (size_t i = 0; i < N_MADE; i++)
        in_company(&subjects[i], 3);
}

/* ---- choices ---------------------------------------------------------------- */

/* What a choice generated, read as a prompt: every position's log-probabilities are the
 * same. */
static void expect_as_prompt(struct drive *d, const struct plan_of_one *q, int choice)
{
    int32_t ids[MOST_TOKENS];
    struct event said[MOST_TOKENS];
    size_t n = (size_t)q->n_ids, n_said = 0, at = 0;
    memcpy(ids, q->ids, n * sizeof *ids);
    n += drive_tokens(d, 1, choice, ids + n, MOST_TOKENS - n);
    for (size_t i = 0; i < d->n; i++)
        if (d->notes[i].ev.kind == EVENT_TOKEN && d->notes[i].ev.choice == choice)
            said[n_said++] = d->notes[i].ev;
    struct gen_params g = q->gen;
    g.n = 1;
    g.max_tokens = 0;
    g.prompt_logprobs = true;
    size_t before = d->n;
    drive_submit(d, 2, ids, n, &g);
    drive_run(d);
    for (size_t i = before; i < d->n; i++) {
        const struct event *ev = &d->notes[i].ev;
        if (ev->kind != EVENT_PROMPT || at++ < (size_t)q->n_ids)
            continue;
        const struct event *was = &said[at - 1 - (size_t)q->n_ids];
        assert_int_equal(ev->id, was->id);
        assert_memory_equal(&ev->logprob, &was->logprob, sizeof ev->logprob);
        assert_int_equal(ev->n_top, was->n_top);
        assert_memory_equal(ev->top, was->top, (size_t)ev->n_top * sizeof *ev->top);
    }
    assert_int_equal(at, n);
}

static void a_choice_equals_its_text_as_a_prompt(void **state)
{
    static const int lengths[] = {1, 15, 16, 17, 32};
    (void)state;
    for (size_t i = 0; i < n_subjects; i++) {
        const struct subject *s = &subjects[i];
        struct engine_options o = options(s);
        struct drive d;
        o.max_seqs = MOST_CHOICES;
        drive_open(&d, &o);
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            struct plan_of_one q = {.n_ids = lengths[k], .gen = drive_greedy(20)};
            q.gen.n = MOST_CHOICES;
            q.gen.temperature = 1;
            q.gen.logprobs = ENGINE_MAX_TOP;
            memcpy(q.ids, s->ids, sizeof q.ids);
            drive_submit(&d, 1, q.ids, (size_t)q.n_ids, &q.gen);
            drive_run(&d);
            for (int c = 0; c < MOST_CHOICES; c++)
                expect_as_prompt(&d, &q, c);
            drive_clear(&d);
        }
        drive_close(&d);
    }
}

static void fewer_choices_are_the_first_of_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_subjects; i++) {
        const struct subject *s = &subjects[i];
        struct engine_options o = options(s);
        struct gen_params g = drive_greedy(12);
        struct drive d;
        size_t len[2];
        o.max_seqs = 6;
        g.temperature = 1.3f;
        g.logprobs = 5;
        drive_open(&d, &o);
        for (int n = 1; n <= 4; n++) {
            g.n = n;
            drive_submit(&d, (uint64_t)n, s->ids, 19, &g);
            if (n % 2 == 0) /* 1 and 2 together, 3 and 4 together */
                drive_run(&d);
        }
        for (int n = 1; n < 4; n++)
            for (int c = 0; c < n; c++) {
                char *a = drive_transcript(&d, (uint64_t)n, c, &len[0]);
                char *b = drive_transcript(&d, 4, c, &len[1]);
                assert_int_equal(len[0], len[1]);
                assert_memory_equal(a, b, len[0]);
                free(a);
                free(b);
            }
        drive_close(&d);
    }
}

/* ---- what memory held before ------------------------------------------------ */

/* A runner built by hand, so that its pools can be filled with NaN before the sequence.
 */
static void poisoned(const struct subject *s, struct rows *r)
{
    struct model m;
    struct pool *pool = NULL;
    struct runner run;
    struct err err = {0};
    struct score sc = {0};
    const struct kernels *k;
    assert_int_equal(
        model_open(&m,
                   &(struct model_options){.dir = s->dir,
                                           .context = s->context,
                                           .weights = (enum engine_weights)s->weights,
                                           .kv = (enum engine_kv)s->kv},
                   &err),
        0);
    assert_int_equal(pool_open(&pool, 1, &err), 0);
    assert_int_equal(cpu_kernels(&k, best_cpu(), &err), 0);
    struct gemm gemm = {k, pool, false, NULL};
    struct seq_vocab vocab = {NULL, NULL, 0};
    int n_pages = (s->context + PAGE_TOKENS - 1) / PAGE_TOKENS;
    struct runner_options o = {
        .plan = {.n_slots = 1, .n_pages = n_pages}, .step_rows = 32, .n_threads = 1};
    assert_int_equal(runner_open(&run, &m, &gemm, &vocab, &o, &err), 0);
    memset(run.slots.base, 0xFF, run.slots.slot_bytes * (size_t)run.slots.n);
    if (run.pages.base)
        memset(run.pages.base, 0xFF, run.pages.page_bytes * (size_t)run.pages.n);
    void *scratch = arena_alloc(&run.scratch, runner_scratch_bytes(&m, 32, 1));
    memset(scratch, 0xFF, runner_scratch_bytes(&m, 32, 1));
    arena_release(&run.scratch, 0);
    struct score_run j = {s->ids, (size_t)s->n_ids, NULL, 0, take_row, r};
    assert_int_equal(score_begin(&sc, &run, &err), 0);
    assert_int_equal(score_run(&sc, &run, &j, &err), 0);
    score_end(&sc, &run);
    runner_close(&run);
    pool_close(pool);
    model_close(&m);
}

static void earlier_contents_of_memory_change_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_subjects; i++) {
        const struct subject *s = &subjects[i];
        struct rows r = {.want = s->logits, .n_vocab = s->n_vocab, .what = s->name};
        poisoned(s, &r);
        assert_int_equal(r.n, s->n_ids);
    }
}

static void a_full_engine_releases_everything(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_subjects; i++) {
        const struct subject *s = &subjects[i];
        struct engine_options o = options(s);
        struct gen_params g = drive_greedy(s->context / 2);
        struct drive d;
        o.max_seqs = 3;
        g.temperature = 1;
        g.n = 3;
        g.ignore_eos = true;
        drive_open(&d, &o);
        drive_submit(&d, 1, s->ids + 7, (size_t)(s->context - g.max_tokens - 7), &g);
        drive_run(&d);
        expect_split(d.e, s, s->n_ids, NULL, 0, "after others");
        drive_close(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_bits_of_the_whole),
        cmocka_unit_test(every_split_in_two_gives_the_bits_of_the_whole),
        cmocka_unit_test(continuing_gives_the_bits_of_the_whole),
        cmocka_unit_test(any_row_budget_gives_the_same_bits),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(every_kernel_set_gives_the_same_bits),
        cmocka_unit_test(other_requests_change_nothing),
        cmocka_unit_test(a_choice_equals_its_text_as_a_prompt),
        cmocka_unit_test(fewer_choices_are_the_first_of_more),
        cmocka_unit_test(earlier_contents_of_memory_change_nothing),
        cmocka_unit_test(a_full_engine_releases_everything),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
