/*
 * Sampling, every option against its definition. The definition is written here a second
 * time, plainly: f64, a full sort, one set after another. A set of allowed tokens is
 * compared through what is drawn from it over many keys; probabilities by a chi-square
 * test. Keys are fixed, so a run is always the same run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/run/sample.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 24, DRAWS = 20000 };

static struct sampler sampler;

static int open_sampler(void **state)
{
    (void)state;
    return sample_open(&sampler, &kernel_c, VOCAB, NULL);
}

static int close_sampler(void **state)
{
    (void)state;
    sample_close(&sampler);
    return 0;
}

static struct gen_params plain(float temperature)
{
    return (struct gen_params){.max_tokens = 8,
                               .temperature = temperature,
                               .top_p = 1,
                               .typical_p = 1,
                               .repetition_penalty = 1,
                               .n = 1,
                               .logprobs = -1};
}

/* Distinct logits in no order; probabilities between about 0.2 and 1e-4. */
static const float logits[VOCAB] = {
    0.3f,  -1.2f, 2.1f,  0.0f,  -3.5f, 1.4f,  -0.7f, 2.6f,  -2.2f, 0.9f, -4.1f, 1.1f,
    -0.2f, 1.9f,  -1.6f, -5.0f, 0.6f,  -2.8f, 1.7f,  -0.9f, -3.1f, 2.3f, -1.9f, 0.45f,
};

static struct sample_out draw_with(const float *x, const struct gen_params *g,
                                   int n_prompt, const int32_t *tokens, int n_tokens)
{
    struct sample_out out;
    struct sample_in in = {.logits = x,
                           .gen = g,
                           .tokens = tokens,
                           .n_prompt = n_prompt,
                           .n_tokens = n_tokens};
    sample_next(&sampler, &in, &out);
    return out;
}

static int32_t draw(const float *x, const struct gen_params *g)
{
    static const int32_t prompt[] = {0};
    return draw_with(x, g, 1, prompt, 1).id;
}

/* ---- the definition --------------------------------------------------------- */

struct place {
    int32_t id;
    double p;
    bool kept;
};

static int by_probability(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;
    if (a->p != b->p)
        return a->p > b->p ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

static void normalise(struct place *d, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += d[i].kept ? d[i].p : 0;
    for (int i = 0; i < n; i++)
        d[i].p = d[i].kept ? d[i].p / sum : 0;
}

static void define_typical(struct place *d, int n, double p)
{
    double entropy = 0, mass = 0;
    bool chosen[VOCAB] = {false};
    for (int i = 0; i < n; i++)
        entropy -= d[i].kept && d[i].p > 0 ? d[i].p * log(d[i].p) : 0;
    while (mass < p - 1e-12) {
        int best = -1;
        for (int i = 0; i < n; i++)
            if (d[i].kept && !chosen[i] &&
                (best < 0 ||
                 fabs(-log(d[i].p) - entropy) < fabs(-log(d[best].p) - entropy)))
                best = i;
        if (best < 0)
            break;
        chosen[best] = true;
        mass += d[best].p;
    }
    for (int i = 0; i < n; i++)
        d[i].kept = chosen[i];
}

/* The distribution after temperature, top_k, typical_p, top_p and min_p, in that order.
 */
static void define(const float *x, const struct gen_params *g, struct place d[VOCAB])
{
    double max = -INFINITY, mass = 0, floor;
    for (int i = 0; i < VOCAB; i++)
        max = fmax(max, x[i]);
    for (int i = 0; i < VOCAB; i++)
        d[i] = (struct place){i, exp((x[i] - max) / g->temperature), true};
    qsort(d, VOCAB, sizeof *d, by_probability);
    for (int i = 0; i < VOCAB; i++)
        d[i].kept = g->top_k == 0 || i < g->top_k;
    normalise(d, VOCAB);
    if (g->typical_p < 1)
        define_typical(d, VOCAB, g->typical_p);
    normalise(d, VOCAB);
    for (int i = 0; i < VOCAB && g->top_p < 1; i++) {
        d[i].kept = d[i].kept && mass < g->top_p;
        mass += d[i].p;
    }
    normalise(d, VOCAB);
    floor = 0;
    for (int i = 0; i < VOCAB; i++)
        floor = fmax(floor, d[i].p);
    for (int i = 0; i < VOCAB; i++)
        d[i].kept = d[i].kept && d[i].p >= g->min_p * floor;
    normalise(d, VOCAB);
}

/* 99.99 % points of chi-square by degrees of freedom (Wilson and Hilferty 1931). */
static double chi_square_limit(int df)
{
    double a = 2.0 / (9.0 * df), z = 3.719;
    return df * pow(1 - a + z * sqrt(a), 3);
}

/* Draws with many keys; nothing outside the set, and the frequencies fit. */
static void expect_distribution(const float *x, struct gen_params g)
{
    struct place d[VOCAB];
    double expected[VOCAB] = {0}, chi = 0, rest_expected = 0;
    int seen[VOCAB] = {0}, df = -1, rest_seen = 0;
    define(x, &g, d);
    for (int i = 0; i < VOCAB; i++)
        expected[d[i].id] = d[i].p * DRAWS;
    for (int i = 0; i < DRAWS; i++) {
        g.seed = 77 + (uint64_t)i;
        int32_t id = draw(x, &g);
        assert_in_range(id, 0, VOCAB - 1);
        seen[id]++;
    }
    for (int i = 0; i < VOCAB; i++) {
        if (expected[i] == 0 && seen[i])
            fail_msg("token %d was drawn %d times, but is not in the set", i, seen[i]);
        if (expected[i] < 5) {
            rest_expected += expected[i];
            rest_seen += seen[i];
            continue;
        }
        chi += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
        df++;
    }
    if (rest_expected >= 5) {
        chi += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
        df++;
    }
    if (df > 0 && chi > chi_square_limit(df))
        fail_msg("chi-square %.1f with %d degrees of freedom", chi, df);
}

static void temperature_is_the_softmax(void **state)
{
    static const float temperatures[] = {0.3f, 0.7f, 1, 1.5f, 2};
    (void)state;
    for (int i = 0; i < 5; i++)
        expect_distribution(logits, plain(temperatures[i]));
}

static void top_k_keeps_the_k_best(void **state)
{
    static const int sizes[] = {1, 2, 5, 23, 24, 25, 1000};
    (void)state;
    for (int i = 0; i < 7; i++) {
        struct gen_params g = plain(1);
        g.top_k = sizes[i];
        expect_distribution(logits, g);
    }
}

static void top_p_keeps_the_smallest_set(void **state)
{
    static const float masses[] = {0.01f, 0.2f, 0.5f, 0.9f, 0.99f, 0.9999f};
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct gen_params g = plain(1);
        g.top_p = masses[i];
        expect_distribution(logits, g);
    }
}

static void min_p_is_relative_to_the_best(void **state)
{
    static const float floors[] = {0.001f, 0.05f, 0.3f, 0.8f, 1};
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct gen_params g = plain(1.2f);
        g.min_p = floors[i];
        expect_distribution(logits, g);
    }
}

static void typical_p_keeps_what_is_nearest_to_the_entropy(void **state)
{
    static const float masses[] = {0.05f, 0.2f, 0.6f, 0.9f, 0.99f};
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct gen_params g = plain(1);
        g.typical_p = masses[i];
        expect_distribution(logits, g);
    }
}

static void filters_apply_one_after_another(void **state)
{
    static const struct {
        float temperature, top_p, min_p, typical_p;
        int top_k;
    } mixes[] = {
        {0.8f, 0.7f, 0, 1, 6},     {1, 0.9f, 0.2f, 1, 0},  {1.4f, 0.8f, 0.1f, 1, 10},
        {1, 1, 0.15f, 0.8f, 0},    {1, 0.6f, 0, 0.7f, 12}, {0.9f, 0.85f, 0.05f, 0.9f, 9},
        {2, 0.95f, 0.5f, 0.5f, 3}, {1, 1, 0.8f, 0.3f, 0}, /* the most probable token is
                                                             not typical */
    };
    (void)state;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        struct gen_params g = plain(mixes[i].temperature);
        g.top_p = mixes[i].top_p;
        g.min_p = mixes[i].min_p;
        g.typical_p = mixes[i].typical_p;
        g.top_k = mixes[i].top_k;
        expect_distribution(logits, g);
    }
}

static void filters_cut_ties_by_id(void **state)
{
    float x[VOCAB];
    (void)state;
    for (int i = 0; i < VOCAB; i++)
        x[i] = i % 3 ? 1 : 2; /* eight best: 0, 3, 6, … */
    struct gen_params g = plain(1);
    g.top_k = 2;
    expect_distribution(x, g); /* only 0 and 3 */
    g.top_k = 10;
    expect_distribution(x, g); /* the eight best, then 1 and 2 */
    g.top_k = 0;
    g.top_p = 0.3f;
    expect_distribution(x, g);
}

/* ---- greedy ----------------------------------------------------------------- */

static void no_temperature_takes_the_best_and_the_smallest_id_of_equals(void **state)
{
    float x[VOCAB];
    (void)state;
    struct gen_params g = plain(0);
    assert_int_equal(draw(logits, &g), 7);
    g.temperature = 5e-7f; /* below the smallest temperature */
    assert_int_equal(draw(logits, &g), 7);
    g.temperature = 1e-5f;
    for (g.seed = 0; g.seed < 100; g.seed++)
        assert_int_equal(draw(logits, &g), 7);
    g = plain(1);
    g.top_k = 1;
    for (g.seed = 0; g.seed < 100; g.seed++)
        assert_int_equal(draw(logits, &g), 7);
    memcpy(x, logits, sizeof x);
    x[3] = x[11] = x[20] = 9;
    g = plain(0);
    assert_int_equal(draw(x, &g), 3);
    g = plain(1);
    g.top_p = 0.01f;
    for (g.seed = 0; g.seed < 50; g.seed++)
        assert_int_equal(draw(x, &g), 3);
}

static void extreme_options_still_draw(void **state)
{
    float x[VOCAB];
    (void)state;
    struct gen_params g = plain(1);
    g.top_p = 0;
    assert_int_equal(draw(logits, &g), 7);
    g = plain(1);
    g.typical_p = 1e-6f;
    int32_t typical = draw(logits, &g);
    g.typical_p = 0; /* still the most typical token */
    assert_int_equal(draw(logits, &g), typical);
    g = plain(1);
    g.min_p = 2;
    assert_int_equal(draw(logits, &g), 7);
    g = plain(1e30f);
    g.top_k = 5;
    assert_in_range(draw(logits, &g), 0, VOCAB - 1);
    for (int i = 0; i < VOCAB; i++)
        x[i] = i == 5 ? 3e38f : -3e38f;
    g = plain(0.01f);
    g.top_p = 0.9f;
    assert_int_equal(draw(x, &g), 5);
    g = plain(1);
    assert_int_equal(draw(x, &g), 5);
}

/* ---- adjusting -------------------------------------------------------------- */

/* The greedy token tells which adjusted logit is the largest: with every other token
 * pushed down by a bias, two tokens are compared at a time. */
static bool beats(const float *x, struct gen_params g, const int32_t *tokens,
                  int n_prompt, int n_tokens, const int32_t pair[2])
{
    struct logit_bias bias[VOCAB];
    size_t n = 0;
    for (int i = 0; i < VOCAB; i++)
        if (i != pair[0] && i != pair[1])
            bias[n++] = (struct logit_bias){i, -1000};
    g.bias = bias;
    g.n_bias = n;
    int32_t id = draw_with(x, &g, n_prompt, tokens, n_tokens).id;
    assert_true(id == pair[0] || id == pair[1]);
    return id == pair[0];
}

static void penalties_follow_their_definition(void **state)
{
    static const int32_t tokens[] = {2, 4, 4, 13, 7, 7, 7, 4}; /* prompt: 2 4 4 13 */
    static const float rep[] = {1, 1.3f, 0.7f, 1}, pres[] = {0, 0, 0.5f, -1.1f},
                       freq[] = {0, 0.25f, 0, 0.6f};
    (void)state;
    for (int k = 0; k < 4; k++) {
        double want[VOCAB];
        struct gen_params g = plain(0);
        g.repetition_penalty = rep[k];
        g.presence_penalty = pres[k];
        g.frequency_penalty = freq[k];
        for (int i = 0; i < VOCAB; i++) {
            int all = 0, made = 0;
            for (int t = 0; t < 8; t++) {
                all += tokens[t] == i;
                made += t >= 4 && tokens[t] == i;
            }
            want[i] = logits[i];
            if (all)
                want[i] = want[i] > 0 ? want[i] / rep[k] : want[i] * rep[k];
            want[i] -= made ? pres[k] + (double)freq[k] * made : 0;
        }
        for (int a = 0; a < VOCAB; a++)
            for (int b = 0; b < VOCAB; b++) {
                int32_t pair[] = {a, b};
                if (a == b || fabs(want[a] - want[b]) < 1e-5)
                    continue;
                assert_int_equal(beats(logits, g, tokens, 4, 8, pair), want[a] > want[b]);
            }
    }
    struct gen_params g =
        plain(0); /* counts were left clean: nothing changes without options */
    assert_int_equal(draw(logits, &g), 7);
}

static void a_bias_is_added_and_a_hundred_decides(void **state)
{
    struct logit_bias bias[] = {{7, -100}, {15, 100}, {3, 1.5f}, {3, 0.9f}};
    struct gen_params g = plain(1);
    (void)state;
    g.bias = bias;
    g.n_bias = 1;
    for (g.seed = 0; g.seed < 2000; g.seed++)
        assert_int_not_equal(draw(logits, &g), 7);
    g.n_bias = 2;
    for (g.seed = 0; g.seed < 2000; g.seed++)
        assert_int_equal(draw(logits, &g), 15);
    g = plain(0);
    g.bias = bias + 2;
    g.n_bias = 1;
    assert_int_equal(draw(logits, &g), 7); /* 0 + 1.5 stays below 2.6 */
    g.n_bias = 2;
    g.bias = bias + 2;
    bias[3].bias = 1.2f; /* 0 + 1.5 + 1.2 does not */
    assert_int_equal(draw(logits, &g), 3);
}

static void min_tokens_masks_the_end_ids(void **state)
{
    static const int32_t tokens[] = {1, 1, 1, 1}, ends[] = {7, 21};
    struct gen_params g = plain(0);
    (void)state;
    g.min_tokens = 2;
    for (int made = 0; made < 4; made++) {
        struct sample_out out;
        struct sample_in in = {.logits = logits,
                               .gen = &g,
                               .tokens = tokens,
                               .n_prompt = 1,
                               .n_tokens = 1 + (made < 3 ? made : 3),
                               .end_ids = ends,
                               .n_end_ids = 2};
        sample_next(&sampler, &in, &out);
        assert_int_equal(out.id, made < 2 ? 2 : 7); /* 7 and 21 are better than 2 */
    }
}

static void a_logit_that_is_no_number_is_an_error(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    for (int k = 0; k < 3; k++)
        for (int at = 0; at < VOCAB; at++) {
            float x[VOCAB];
            struct gen_params g = plain(at % 2 ? 1 : 0);
            memcpy(x, logits, sizeof x);
            x[at] = bad[k];
            assert_int_equal(draw(x, &g), -1);
        }
}

static void only_end_tokens_left_is_an_error(void **state)
{
    int32_t ends[VOCAB];
    struct gen_params g = plain(1);
    struct sample_out out;
    (void)state;
    for (int i = 0; i < VOCAB; i++)
        ends[i] = i;
    g.min_tokens = 5;
    struct sample_in in = {.logits = logits,
                           .gen = &g,
                           .tokens = ends,
                           .n_prompt = 1,
                           .n_tokens = 1,
                           .end_ids = ends,
                           .n_end_ids = VOCAB};
    sample_next(&sampler, &in, &out);
    assert_int_equal(out.id, -1);
}

/* ---- log-probabilities ------------------------------------------------------ */

static void logprobs_are_those_of_the_raw_logits(void **state)
{
    static const int32_t tokens[] = {7, 7, 2};
    double sum = 0, total = 0;
    (void)state;
    struct gen_params g = plain(0.5f);
    g.logprobs = ENGINE_MAX_TOP;
    g.presence_penalty = 2;
    g.repetition_penalty = 1.5f;
    g.top_k = 3;
    struct sample_out out = draw_with(logits, &g, 1, tokens, 3);
    for (int i = 0; i < VOCAB; i++)
        sum += exp(logits[i]);
    assert_float_equal(out.logprob, logits[out.id] - log(sum), 1e-6);
    assert_int_equal(out.n_top, ENGINE_MAX_TOP);
    for (int i = 0; i < out.n_top; i++) {
        assert_float_equal(out.top[i].logprob, logits[out.top[i].id] - log(sum), 1e-6);
        if (i)
            assert_true(out.top[i].logprob < out.top[i - 1].logprob);
    }
    for (int i = 0; i < VOCAB; i++) {
        struct sample_out one;
        assert_true(sample_logprobs(&sampler, logits, i, 0, &one));
        assert_int_equal(one.n_top, 0);
        total += exp(one.logprob);
    }
    assert_float_equal(total, 1, 1e-6);
}

static void equal_logprobs_stand_by_id(void **state)
{
    float x[VOCAB];
    struct sample_out out;
    (void)state;
    for (int i = 0; i < VOCAB; i++)
        x[i] = i % 2 ? 1 : 0;
    assert_true(sample_logprobs(&sampler, x, 0, 15, &out));
    for (int i = 0; i < 15; i++)
        assert_int_equal(out.top[i].id, i < 12 ? 2 * i + 1 : 2 * (i - 12));
}

/* ---- the generator ---------------------------------------------------------- */

/* Philox4x32-10 as published, written with explicit high and low words; its known answers
 * are those of the authors' library (Random123, kat_vectors). */
static void philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3], k0 = key[0], k1 = key[1];
    for (int r = 0; r < 10; r++) {
        uint64_t a = (uint64_t)c0 * 0xD2511F53u, b = (uint64_t)c2 * 0xCD9E8D57u;
        uint32_t t0 = (uint32_t)(b >> 32) ^ c1 ^ k0, t2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = t0;
        c2 = t2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void the_generator_gives_the_published_answers(void **state)
{
    static const struct {
        uint32_t ctr[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u},
         {~0u, ~0u},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    uint32_t out[4];
    (void)state;
    for (int i = 0; i < 3; i++) {
        philox(known[i].ctr, known[i].key, out);
        assert_memory_equal(out, known[i].want, sizeof out);
    }
    for (uint32_t i = 0; i < 2000; i++) { /* the engine's is that one, keyed as it says */
        uint64_t seed = i * 0x9E3779B97F4A7C15u;
        uint32_t key[] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
        uint32_t ctr[] = {i * 7, i % 5, 0, 0};
        philox(ctr, key, out);
        double want =
            (double)(((uint64_t)out[0] << 32 | out[1]) >> 11) / 9007199254740992.0;
        assert_true(sample_uniform(seed, i % 5, i * 7) == want);
    }
    assert_true(sample_uniform(0, 0, 0) == (double)(0x6627e8d5e169c58du >> 11) * 0x1p-53);
}

static void the_key_is_seed_choice_and_position(void **state)
{
    double base = sample_uniform(1, 2, 3);
    (void)state;
    assert_true(base == sample_uniform(1, 2, 3));
    assert_true(base != sample_uniform(2, 2, 3));
    assert_true(base != sample_uniform(1, 3, 3));
    assert_true(base != sample_uniform(1, 2, 4));
    assert_true(base != sample_uniform(1ull << 32 | 1, 2, 3));
}

/* The same tokens far apart among others that have no probability are drawn alike: one
 * block of the vocabulary or many. */
static void a_wide_vocabulary_draws_the_same(void **state)
{
    enum { STRIDE = 41, WIDE = VOCAB * STRIDE };
    (void)state;
    static float wide[WIDE];
    static const int32_t prompt[] = {0};
    struct sampler s;
    assert_int_equal(sample_open(&s, &kernel_c, WIDE, NULL), 0);
    for (int i = 0; i < WIDE; i++)
        wide[i] = i % STRIDE == 7 ? logits[i / STRIDE] : -1e4f;
    for (int i = 0; i < 4000; i++) {
        struct gen_params g = plain(i % 7 ? 0.8f : 0);
        g.seed = (uint64_t)i;
        g.top_k = i % 3 == 0 ? 5 : 0;
        g.top_p = i % 5 == 0 ? 0.9f : 1;
        g.min_p = i % 11 == 0 ? 0.02f : 0;
        g.typical_p = i % 13 == 0 ? 0.7f : 1;
        g.logprobs = 3;
        struct sample_in in = {
            .logits = wide, .gen = &g, .tokens = prompt, .n_prompt = 1, .n_tokens = 1};
        struct sample_out here, there = draw_with(logits, &g, 1, prompt, 1);
        sample_next(&s, &in, &here);
        assert_int_equal(here.id, there.id * STRIDE + 7);
        assert_int_equal(here.n_top, 3);
        for (int t = 0; t < 3; t++)
            assert_int_equal(here.top[t].id, there.top[t].id * STRIDE + 7);
        assert_true(fabsf(here.logprob - there.logprob) < 1e-5f);
    }
    sample_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_is_the_softmax),
        cmocka_unit_test(top_k_keeps_the_k_best),
        cmocka_unit_test(top_p_keeps_the_smallest_set),
        cmocka_unit_test(min_p_is_relative_to_the_best),
        cmocka_unit_test(typical_p_keeps_what_is_nearest_to_the_entropy),
        cmocka_unit_test(filters_apply_one_after_another),
        cmocka_unit_test(filters_cut_ties_by_id),
        cmocka_unit_test(no_temperature_takes_the_best_and_the_smallest_id_of_equals),
        cmocka_unit_test(extreme_options_still_draw),
        cmocka_unit_test(penalties_follow_their_definition),
        cmocka_unit_test(a_bias_is_added_and_a_hundred_decides),
        cmocka_unit_test(min_tokens_masks_the_end_ids),
        cmocka_unit_test(a_logit_that_is_no_number_is_an_error),
        cmocka_unit_test(only_end_tokens_left_is_an_error),
        cmocka_unit_test(logprobs_are_those_of_the_raw_logits),
        cmocka_unit_test(equal_logprobs_stand_by_id),
        cmocka_unit_test(the_generator_gives_the_published_answers),
        cmocka_unit_test(the_key_is_seed_choice_and_position),
        cmocka_unit_test(a_wide_vocabulary_draws_the_same),
    };
    return cmocka_run_group_tests(tests, open_sampler, close_sampler);
}
