/* Rotary tables: computed at open in f64, applied inside a step as f32.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/mixer/rope.h"

#include "engine/kernel/math64.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

/* yarn (arXiv 2309.00071, section 3.2): the dimension whose wave turns r times over o. */
static double yarn_dim(double turns, int d, double theta, double o)
{
    return d * math64_log(o / (2 * PI * turns)) / (2 * math64_log(theta));
}

static double yarn_ramp(const struct rope_params *p, int d, int i)
{
    double fast = p->beta_fast ? p->beta_fast : 32,
           slow = p->beta_slow ? p->beta_slow : 1;
    double lo = fmax(floor(yarn_dim(fast, d, p->theta, p->original)), 0);
    double hi = fmin(ceil(yarn_dim(slow, d, p->theta, p->original)), d - 1);
    if (hi == lo)
        hi += 0.001; /* as in other implementations: a step, not a division by zero */
    return fmin(fmax((i - lo) / (hi - lo), 0), 1);
}

static double llama3_frequency(const struct rope_params *p, double inv)
{
    double lambda = 2 * PI / inv;
    if (lambda > p->original / p->low_freq_factor)
        return inv / p->factor;
    if (lambda < p->original / p->high_freq_factor)
        return inv;
    double s = (p->original / lambda - p->low_freq_factor) /
               (p->high_freq_factor - p->low_freq_factor);
    return (1 - s) * inv / p->factor + s * inv;
}

static double frequency(const struct rope_params *p, const struct rope_use *u, int i)
{
    int d = u->dim, n = u->context > u->max_position ? u->context : u->max_position;
    double inv = math64_pow(p->theta, -2.0 * i / d);
    switch (p->kind) {
    case ROPE_DEFAULT:
        return inv;
    case ROPE_LINEAR:
        return inv / p->factor;
    case ROPE_LLAMA3:
        return llama3_frequency(p, inv);
    case ROPE_DYNAMIC: {
        double grown = p->factor * n / u->max_position - (p->factor - 1);
        return math64_pow(p->theta * math64_pow(grown, d / (d - 2.0)), -2.0 * i / d);
    }
    case ROPE_YARN: {
        double ramp = yarn_ramp(p, d, i);
        return inv / p->factor * ramp + inv * (1 - ramp);
    }
    case ROPE_LONG: {
        const struct json *ext = n > p->original ? p->long_factor : p->short_factor;
        return inv / json_as_number(json_at(ext, (size_t)i));
    }
    }
    return inv;
}

/* Multiplies cos and sin: every score of q and k then carries its square. */
static double attention_factor(const struct rope_params *p, const struct rope_use *u)
{
    if (u->plain_length || (p->kind != ROPE_YARN && p->kind != ROPE_LONG))
        return 1;
    if (p->attention_factor)
        return p->attention_factor;
    if (p->kind == ROPE_YARN)
        return 0.1 * math64_log(p->factor) + 1;
    if (u->max_position <= p->original)
        return 1;
    return sqrt(1 + math64_log(u->max_position / p->original) / math64_log(p->original));
}

static int check_factors(const struct json *f, const char *name, int half,
                         struct err *err)
{
    if (json_len(f) != (size_t)half)
        return err_set(err, ERR_FORMAT, "rope_scaling.%s: expected %d numbers, found %zu",
                       name, half, json_len(f));
    for (int i = 0; i < half; i++) {
        const struct json *v = json_at(f, (size_t)i);
        if (!json_numeric(v) || !(json_as_number(v) > 0))
            return err_set(err, ERR_FORMAT,
                           "rope_scaling.%s[%d]: expected a positive number", name, i);
    }
    return 0;
}

static int check(const struct rope_params *p, const struct rope_use *u, struct err *err)
{
    if (u->dim % 2 || u->dim <= 0)
        return err_set(err, ERR_FORMAT,
                       "head_dim: expected an even number as the width under RoPE, found "
                       "%d",
                       u->dim);
    if (p->kind == ROPE_DYNAMIC && u->dim <= 2)
        return err_set(err, ERR_FORMAT,
                       "head_dim: expected a width of more than 2 under dynamic RoPE");
    if (p->kind != ROPE_LONG)
        return 0;
    if (!isfinite(attention_factor(p, u)))
        return err_set(
            err, ERR_FORMAT,
            "rope_scaling.original_max_position_embeddings: expected more than "
            "1, found %g",
            p->original);
    int rc = check_factors(p->short_factor, "short_factor", u->dim / 2, err);
    return rc ? rc : check_factors(p->long_factor, "long_factor", u->dim / 2, err);
}

int rope_open(struct rope *r, struct arena *a, const struct rope_params *given,
              const struct rope_use *u, struct err *err)
{
    struct rope_params p = *given;
    if (!p.original)
        p.original = u->max_position;
    int rc = check(&p, u, err);
    if (rc)
        return rc;
    size_t half = (size_t)u->dim / 2, n = half * (size_t)u->context;
    float *cosines = arena_alloc(a, n * sizeof *cosines);
    float *sines = arena_alloc(a, n * sizeof *sines);
    if (!cosines || !sines)
        return err_set(err, ERR_MEMORY, "out of memory for a RoPE table of %d x %d",
                       u->context, u->dim);
    double factor = attention_factor(&p, u);
    for (size_t i = 0; !u->sizes && i < half; i++) {
        double inv = frequency(&p, u, (int)i);
        for (size_t t = 0; t < (size_t)u->context; t++) {
            cosines[t * half + i] = (float)(math64_cos((double)t * inv) * factor);
            sines[t * half + i] = (float)(math64_sin((double)t * inv) * factor);
        }
    }
    *r = (struct rope){.dim = u->dim, .n_pos = u->context, .cos = cosines, .sin = sines};
    return 0;
}

void rope_rows(const struct rope *r, const struct ctx *c, const struct rope_heads *heads,
               int row0, int row1)
{
    size_t half = (size_t)r->dim / 2, n = (size_t)heads->n_heads;
    for (int row = row0; row < row1; row++) {
        size_t at = (size_t)c->positions[row] * half;
        for (size_t h = (size_t)row * n; h < (size_t)(row + 1) * n; h++)
            c->gemm->k->rope(heads->x + h * (size_t)heads->width, r->cos + at,
                             r->sin + at, r->dim);
    }
}
