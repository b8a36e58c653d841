/* Sampling. Any pool thread, each with a sampler of its own; allocates at open only. */
#include "engine/run/sample.h"

#include "engine/base/mem.h"
#include "engine/kernel/math64.h"

#include <float.h>
#include <math.h>
#include <string.h>

int sample_open(struct sampler *s, const struct kernels *k, int n_vocab, struct err *err)
{
    size_t n = (size_t)n_vocab;
    *s = (struct sampler){.k = k, .n_vocab = n_vocab};
    s->work = mem_alloc(n * sizeof *s->work);
    s->heap = mem_alloc(n * sizeof *s->heap);
    s->kept = mem_alloc(n * sizeof *s->kept);
    s->counts = mem_zalloc(n, sizeof *s->counts);
    if (s->work && s->heap && s->kept && s->counts)
        return 0;
    sample_close(s);
    return err_set(err, ERR_MEMORY, "out of memory for sampling over %d tokens", n_vocab);
}

void sample_close(struct sampler *s)
{
    mem_free(s->work);
    mem_free(s->heap);
    mem_free(s->kept);
    mem_free(s->counts);
    *s = (struct sampler){0};
}

size_t sample_bytes(int n_vocab)
{
    const struct sampler *s = NULL;
    return (size_t)n_vocab *
           (sizeof *s->work + sizeof *s->heap + sizeof *s->kept + sizeof *s->counts);
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

static void adjust(struct sampler *s, const struct sample_in *in)
{
    const struct gen_params *g = in->gen;
    memcpy(s->work, in->logits, (size_t)s->n_vocab * sizeof *s->work);
    if (g->repetition_penalty != 1 && g->repetition_penalty > 0)
        penalise_repetition(s, in, g->repetition_penalty);
    if (g->presence_penalty != 0 || g->frequency_penalty != 0)
        penalise_presence(s, in);
    for (size_t i = 0; i < g->n_bias; i++)
        s->work[g->bias[i].id] += g->bias[i].bias;
    if (in->n_tokens - in->n_prompt < g->min_tokens)
        for (int i = 0; i < in->n_end_ids; i++)
            s->work[in->end_ids[i]] = -INFINITY;
}

static bool all_finite(const float *x, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= fabsf(x[i]) <= FLT_MAX; /* false of NaN */
    return finite;
}

static int32_t argmax(const float *x, int n, float max)
{
    for (int i = 0; i < n; i++)
        if (x[i] == max)
            return i;
    return -1;
}

/* ---- candidates in order ---------------------------------------------------- */

static bool before(struct candidate a, struct candidate b)
{
    return a.y > b.y || (a.y == b.y && a.id < b.id);
}

static void sift_down(struct candidate *h, int n, int i)
{
    struct candidate x = h[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(h[child + 1], h[child]))
            child++;
        if (!before(h[child], x))
            break;
        h[i] = h[child];
    }
    h[i] = x;
}

static struct candidate pop(struct candidate *h, int *n)
{
    struct candidate top = h[0];
    h[0] = h[--*n];
    if (*n)
        sift_down(h, *n, 0);
    return top;
}

/* ---- filters: each keeps a prefix of kept[0..n) ----------------------------- */

/* Weights of kept[0..n) into work[0..n); returns their sum. */
static double weigh(struct sampler *s, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        s->work[i] = s->kept[i].y;
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
    double sum = weigh(s, n), entropy = 0, mass = 0, log_sum = math64_log(sum);
    for (int i = 0; i < n; i++)
        entropy += s->work[i] / sum * (log_sum - s->kept[i].y);
    for (int i = 0; i < n; i++) {
        double distance = fabs(log_sum - s->kept[i].y - entropy);
        s->heap[i] = (struct candidate){(float)-distance, i};
    }
    for (int i = n / 2; i-- > 0;)
        sift_down(s->heap, n, i);
    for (int left = n; left > 0 && (left == n || mass < p * sum);) {
        int32_t i = pop(s->heap, &left).id;
        mass += s->work[i];
        s->counts[i] = 1;
    }
    int m = 0;
    for (int i = 0; i < n; i++) {
        if (s->counts[i])
            s->kept[m++] = s->kept[i];
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

/* Pops candidates in order until no filter can want more; returns how many. */
static int pop_needed(struct sampler *s, const struct gen_params *g, double total)
{
    int left = s->n_vocab, n = 0;
    int most = g->top_k > 0 && g->top_k < left ? g->top_k : left;
    bool all = g->top_k > 0 || g->typical_p < 1;
    double mass = 0;
    for (int i = 0; i < left; i++)
        s->heap[i] = (struct candidate){s->work[i], i};
    for (int i = left / 2; i-- > 0;)
        sift_down(s->heap, left, i);
    while (n < most) {
        s->kept[n] = pop(s->heap, &left);
        float w;
        s->k->exp(&s->kept[n].y, 1, &w);
        if (w <= 0)
            break; /* nothing behind it has any probability */
        mass += w;
        n++;
        if (!all && ((g->top_p < 1 && mass >= g->top_p * total) || w < g->min_p))
            break;
    }
    return n;
}

static int32_t draw_kept(struct sampler *s, int n, double u)
{
    double sum = weigh(s, n), mass = 0;
    for (int i = 0; i < n; i++) {
        mass += s->work[i];
        if (u * sum < mass)
            return s->kept[i].id;
    }
    return s->kept[n - 1].id;
}

static int32_t draw_any(struct sampler *s, double total, double u)
{
    double mass = 0;
    int32_t last = 0;
    for (int i = 0; i < s->n_vocab; i++) {
        mass += s->work[i];
        if (u * total < mass)
            return i;
        if (s->work[i] > 0)
            last = i;
    }
    return last;
}

/* work holds tempered logits relative to the maximum. */
static int32_t draw(struct sampler *s, const struct gen_params *g, double u)
{
    size_t n_vocab = (size_t)s->n_vocab;
    bool filtered = g->top_k > 0 || g->top_p < 1 || g->min_p > 0 || g->typical_p < 1;
    if (!filtered) {
        double total = 0;
        s->k->exp(s->work, n_vocab, s->work);
        for (size_t i = 0; i < n_vocab; i++)
            total += s->work[i];
        return draw_any(s, total, u);
    }
    int n = pop_needed(s, g, s->k->sum_exp(s->work, 0, n_vocab));
    double sum =
        g->top_k > 0 || g->typical_p < 1 ? -1 : s->k->sum_exp(s->work, 0, n_vocab);
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
    for (int i = 0; n_top > 0 && i < s->n_vocab; i++)
        if (out->n_top < n_top || logits[i] > out->top[n_top - 1].logprob)
            insert_top(out, n_top, i, logits[i]);
    for (int i = 0; i < out->n_top; i++)
        out->top[i].logprob = (float)(out->top[i].logprob - lse);
    out->logprob = (float)(logits[id] - lse);
    return true;
}

void sample_next(struct sampler *s, const struct sample_in *in, struct sample_out *out)
{
    const struct gen_params *g = in->gen;
    size_t n = (size_t)s->n_vocab;
    *out = (struct sample_out){.id = -1, .logprob = NAN};
    if (!all_finite(in->logits, n))
        return;
    adjust(s, in);
    float max = s->k->max(s->work, n);
    if (!isfinite(max))
        return;
    if (g->temperature < 1e-6f)
        out->id = argmax(s->work, s->n_vocab, max);
    else {
        float inverse = 1 / g->temperature;
        for (size_t i = 0; i < n; i++)
            s->work[i] = (s->work[i] - max) * inverse;
        out->id = draw(
            s, g, sample_uniform(g->seed, (uint32_t)in->choice, (uint32_t)in->n_tokens));
    }
    if (g->logprobs >= 0)
        sample_logprobs(s, in->logits, out->id, g->logprobs, out);
}
