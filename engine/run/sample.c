/* Sampling. Any pool thread, each with a sampler of its own; allocates at open only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/sample.h"

#include "engine/base/mem.h"
#include "engine/kernel/math64.h"

#include <float.h>
#include <math.h>
#include <string.h>

int sample_open(struct sampler *s, const struct kernels *k, int n_vocab, struct err *err)
{
    size_t n = (size_t)n_vocab, blocks = (size_t)rank_blocks(n_vocab);
    *s = (struct sampler){.k = k, .n_vocab = n_vocab, .rank = {.k = k, .n = n_vocab}};
    struct rank *r = &s->rank;
    s->work = mem_alloc(n * sizeof *s->work);
    s->masses = mem_alloc(blocks * sizeof *s->masses);
    s->counts = mem_zalloc(n, sizeof *s->counts);
    r->peaks = mem_alloc(blocks * sizeof *r->peaks);
    r->heap = mem_alloc(n * sizeof *r->heap);
    r->order = mem_alloc(n * sizeof *r->order);
    if (s->work && s->masses && s->counts && r->peaks && r->heap && r->order)
        return 0;
    sample_close(s);
    return err_set(err, ERR_MEMORY, "out of memory for sampling over %d tokens", n_vocab);
}

void sample_close(struct sampler *s)
{
    mem_free(s->work);
    mem_free(s->masses);
    mem_free(s->counts);
    mem_free(s->rank.peaks);
    mem_free(s->rank.heap);
    mem_free(s->rank.order);
    *s = (struct sampler){0};
}

size_t sample_bytes(int n_vocab)
{
    const struct sampler *s = NULL;
    return (size_t)n_vocab * (sizeof *s->work + sizeof *s->counts + sizeof *s->rank.heap +
                              sizeof *s->rank.order) +
           (size_t)rank_blocks(n_vocab) * (sizeof *s->masses + sizeof *s->rank.peaks);
}

/* Philox4x32-10: ten rounds of multiply, xor and a Weyl sequence on the key. */
double sample_uniform(uint64_t seed, uint32_t choice, uint32_t position)
{
    uint32_t c[4] = {position, choice, 0, 0};
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k[0], (uint32_t)p1,
                            (uint32_t)(p0 >> 32) ^ c[3] ^ k[1], (uint32_t)p0};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    uint64_t bits = ((uint64_t)c[0] << 32 | c[1]) >> 11;
    return (double)bits * 0x1p-53;
}

/* ---- adjusting logits ------------------------------------------------------- */

static void penalise_repetition(struct sampler *s, const struct sample_in *in,
                                float penalty)
{
    for (int i = 0; i < in->n_tokens; i++) {
        int32_t id = in->tokens[i];
        if (s->counts[id]++)
            continue;
        float x = s->work[id];
        s->work[id] = x > 0 ? x / penalty : x * penalty;
    }
    for (int i = 0; i < in->n_tokens; i++)
        s->counts[in->tokens[i]] = 0;
}

/* OpenAI's definition: minus presence if the token was generated, minus count times
 * frequency. */
static void penalise_presence(struct sampler *s, const struct sample_in *in)
{
    const struct gen_params *g = in->gen;
    for (int i = in->n_prompt; i < in->n_tokens; i++)
        s->counts[in->tokens[i]]++;
    for (int i = in->n_prompt; i < in->n_tokens; i++) {
        int32_t id = in->tokens[i];
        if (!s->counts[id])
            continue;
        s->work[id] -= g->presence_penalty + g->frequency_penalty * (float)s->counts[id];
        s->counts[id] = 0;
    }
}

/* The logits as they are, or what is to be done to them done in work. */
static const float *adjust(struct sampler *s, const struct sample_in *in)
{
    const struct gen_params *g = in->gen;
    bool penalties = (g->repetition_penalty != 1 && g->repetition_penalty > 0) ||
                     g->presence_penalty != 0 || g->frequency_penalty != 0;
    bool masked = in->n_tokens - in->n_prompt < g->min_tokens;
    if (!penalties && g->n_bias == 0 && !masked)
        return in->logits;
    memcpy(s->work, in->logits, (size_t)s->n_vocab * sizeof *s->work);
    if (g->repetition_penalty != 1 && g->repetition_penalty > 0)
        penalise_repetition(s, in, g->repetition_penalty);
    if (g->presence_penalty != 0 || g->frequency_penalty != 0)
        penalise_presence(s, in);
    for (size_t i = 0; i < g->n_bias; i++)
        s->work[g->bias[i].id] += g->bias[i].bias;
    for (int i = 0; masked && i < in->n_end_ids; i++)
        s->work[in->end_ids[i]] = -INFINITY;
    return s->work;
}

/* A sum of squares is finite when all are; it is not, too, when logits are huge. */
static bool all_finite(const struct kernels *k, const float *x, int n)
{
    bool finite = true;
    if (isfinite(k->sum_squares(x, n)))
        return true;
    for (int i = 0; i < n; i++)
        finite &= fabsf(x[i]) <= FLT_MAX; /* false of NaN */
    return finite;
}

/* ---- filters: each keeps a prefix of order[0..n) ----------------------------- */

/* Weights of order[0..n) into work[0..n); returns their sum. */
static double weigh(struct sampler *s, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        s->work[i] = s->rank.order[i].y;
    s->k->exp(s->work, (size_t)n, s->work);
    for (int i = 0; i < n; i++)
        sum += s->work[i];
    return sum;
}

/* Locally typical sampling (arXiv 2202.00666): the smallest set of tokens whose surprise
 * is nearest to the entropy, with mass >= p. Equal distances: the more probable first.
 * What is kept stays in order of probability. */
static int keep_typical(struct sampler *s, int n, float p)
{
    struct candidate *heap = s->rank.heap;
    double sum = weigh(s, n), entropy = 0, mass = 0, log_sum = math64_log(sum);
    for (int i = 0; i < n; i++)
        entropy += s->work[i] / sum * (log_sum - s->rank.order[i].y);
    for (int i = 0; i < n; i++) {
        double distance = fabs(log_sum - s->rank.order[i].y - entropy);
        heap[i] = (struct candidate){(float)-distance, i};
    }
    rank_heapify(heap, n);
    for (int left = n; left > 0 && (left == n || mass < p * sum);) {
        int32_t i = rank_pop(heap, &left).id;
        mass += s->work[i];
        s->counts[i] = 1;
    }
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (s->counts[i])
            s->rank.order[m++] = s->rank.order[i];
        s->counts[i] = 0;
    }
    return m;
}

static int keep_top_p(struct sampler *s, int n, float p, double sum)
{
    double mass = 0;
    weigh(s, n);
    for (int i = 0; i < n; i++) {
        mass += s->work[i];
        if (mass >= p * sum)
            return i + 1;
    }
    return n;
}

static int keep_min_p(struct sampler *s, int n, float p)
{
    weigh(s, n);
    int m = 1;
    while (m < n && s->work[m] >= p * s->work[0])
        m++;
    return m;
}

/* Candidates that a filter is likely to want: for how many the order is made cheaply. */
static int expected(int n_vocab)
{
    enum { MANY = 64 };
    int half = rank_blocks(n_vocab) / 2 + 1;
    return half < MANY ? half : MANY;
}

/* Asks for candidates in order until no filter can want more; returns how many of them
 * may be wanted. */
static int keep_needed(struct sampler *s, const struct gen_params *g, double total)
{
    int n = 0, most = g->top_k > 0 && g->top_k < s->n_vocab ? g->top_k : s->n_vocab;
    bool all = g->top_k > 0 || g->typical_p < 1;
    double mass = 0;
    rank_begin(&s->rank, s->work, g->top_k > 0 ? most : expected(s->n_vocab));
    while (n < most) {
        float w[RANK_BLOCK];
        int some = rank_more(&s->rank, s->work);
        some = some < most - n ? some : most - n;
        for (int i = 0; i < some; i++)
            w[i] = s->rank.order[n + i].y;
        s->k->exp(w, (size_t)some, w);
        for (int i = 0; i < some; i++) {
            if (w[i] <= 0)
                return n; /* nothing behind it has any probability */
            mass += w[i];
            n++;
            if (!all && ((g->top_p < 1 && mass >= g->top_p * total) || w[i] < g->min_p))
                return n;
        }
    }
    return n;
}

static int32_t draw_kept(struct sampler *s, int n, double u)
{
    double sum = weigh(s, n), mass = 0;
    for (int i = 0; i < n; i++) {
        mass += s->work[i];
        if (u * sum < mass)
            return s->rank.order[i].id;
    }
    return s->rank.order[n - 1].id;
}

/* From all tokens; the sum is one chain over them. masses: the sum up to each block's
 * end. */
static int32_t draw_any(struct sampler *s, double u)
{
    double mass = 0;
    int block = 0, n_blocks = rank_blocks(s->n_vocab), last = s->n_vocab - 1;
    s->k->exp(s->work, (size_t)s->n_vocab, s->work);
    for (int b = 0; b < n_blocks; b++) {
        for (int i = b * RANK_BLOCK, end = rank_block_end(s->n_vocab, b); i < end; i++)
            mass += s->work[i];
        s->masses[b] = mass;
    }
    double wanted = u * mass;
    while (block < n_blocks && !(wanted < s->masses[block]))
        block++;
    mass = block ? s->masses[block - 1] : 0;
    for (int i = block * RANK_BLOCK; i < s->n_vocab; i++) {
        mass += s->work[i];
        if (wanted < mass)
            return i;
    }
    while (last > 0 && !(s->work[last] > 0))
        last--;
    return last;
}

/* work holds tempered logits relative to the maximum. */
static int32_t draw(struct sampler *s, const struct gen_params *g, double u)
{
    size_t n_vocab = (size_t)s->n_vocab;
    bool filtered = g->top_k > 0 || g->top_p < 1 || g->min_p > 0 || g->typical_p < 1;
    if (!filtered)
        return draw_any(s, u);
    double total = s->k->sum_exp(s->work, 0, n_vocab);
    int n = keep_needed(s, g, total);
    double sum = g->top_k > 0 || g->typical_p < 1 ? -1 : total;
    if (g->typical_p < 1)
        n = keep_typical(s, n, g->typical_p);
    if (g->top_p < 1)
        n = keep_top_p(s, n, g->top_p, sum < 0 ? weigh(s, n) : sum);
    if (g->min_p > 0)
        n = keep_min_p(s, n, g->min_p);
    return draw_kept(s, n, u);
}

/* ---- log-probabilities ------------------------------------------------------ */

static void insert_top(struct sample_out *out, int n_top, int32_t id, float x)
{
    int i = out->n_top < n_top ? out->n_top++ : n_top - 1;
    for (; i > 0 && out->top[i - 1].logprob < x; i--)
        out->top[i] = out->top[i - 1];
    out->top[i] = (struct top_logprob){id, x};
}

bool sample_logprobs(const struct sampler *s, const float *logits, int32_t id, int n_top,
                     struct sample_out *out)
{
    size_t n = (size_t)s->n_vocab;
    float max = s->k->max(logits, n);
    out->n_top = 0;
    if (!isfinite(max))
        return false;
    double lse = max + math64_log(s->k->sum_exp(logits, max, n));
    for (int b = 0; n_top > 0 && b < rank_blocks(s->n_vocab); b++) {
        if (out->n_top == n_top &&
            rank_block_max(s->k, logits, s->n_vocab, b) <= out->top[n_top - 1].logprob)
            continue;
        for (int i = b * RANK_BLOCK, end = rank_block_end(s->n_vocab, b); i < end; i++)
            if (out->n_top < n_top || logits[i] > out->top[n_top - 1].logprob)
                insert_top(out, n_top, i, logits[i]);
    }
    for (int i = 0; i < out->n_top; i++)
        out->top[i].logprob = (float)(out->top[i].logprob - lse);
    out->logprob = (float)(logits[id] - lse);
    return true;
}

/* work = (x - max) / temperature; the peaks likewise. */
static void temper(struct sampler *s, const float *x, float max, float temperature)
{
    float inverse = 1 / temperature;
    for (int i = 0; i < s->n_vocab; i++)
        s->work[i] = (x[i] - max) * inverse;
    for (int b = 0; b < rank_blocks(s->n_vocab); b++)
        s->rank.peaks[b] = (s->rank.peaks[b] - max) * inverse;
}

void sample_next(struct sampler *s, const struct sample_in *in, struct sample_out *out)
{
    const struct gen_params *g = in->gen;
    *out = (struct sample_out){.id = -1, .logprob = NAN};
    if (!all_finite(s->k, in->logits, s->n_vocab))
        return;
    const float *x = adjust(s, in);
    float max = rank_peaks(&s->rank, x);
    if (!isfinite(max))
        return;
    if (g->temperature < 1e-6f)
        out->id = rank_first(&s->rank, x, max);
    else {
        temper(s, x, max, g->temperature);
        out->id = draw(
            s, g, sample_uniform(g->seed, (uint32_t)in->choice, (uint32_t)in->n_tokens));
    }
    if (g->logprobs >= 0)
        sample_logprobs(s, in->logits, out->id, g->logprobs, out);
}
