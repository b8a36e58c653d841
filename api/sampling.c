/* The table of generation fields, and readers for those that are lists.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/sampling.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

enum { MAX_STOP_BYTES = 4096, MAX_STOP_IDS = 1024 };

static struct sampling *landing(const struct field *f, void *into)
{
    return (struct sampling *)(void *)((char *)into + f->at);
}

static int read_seed(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    (void)ctx;
    if (value_kind(v) != VALUE_INT)
        return fields_wrong(err, f->name, "an integer of 64 bits", v);
    struct sampling *s = landing(f, into);
    s->gen.seed = (uint64_t)value_int(v);
    s->has_seed = true;
    return 0;
}

/* -1 means "off" to users of other servers. */
static int read_top_k(struct fields_ctx *ctx, const struct field *f,
                      const struct value *v, void *into, struct err *err)
{
    int64_t k = value_int(v);
    if (value_kind(v) != VALUE_INT || k < -1 || k > INT_MAX)
        return fields_wrong(err, f->name, "an integer from 1, or 0 or -1 for off", v);
    landing(f, into)->gen.top_k = k < 0 || k >= ctx->limits->vocab_size ? 0 : (int)k;
    return 0;
}

static int check_stop(const struct value *v, size_t i, const struct field *f,
                      struct err *err)
{
    if (value_kind(v) != VALUE_STRING)
        return err_param(err, ERR_ARGUMENT, f->name, "`%s[%zu]` must be a string, not %s",
                         f->name, i, value_kind_name(v));
    size_t len = value_text_len(v);
    if (len == 0 || len > MAX_STOP_BYTES)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s[%zu]` must be 1 to %d bytes long, not %zu", f->name, i,
                         MAX_STOP_BYTES, len);
    return 0;
}

int sampling_read_stop(struct fields_ctx *ctx, const struct field *f,
                       const struct value *v, void *into, struct err *err)
{
    bool many = value_kind(v) == VALUE_ARRAY;
    size_t n = many ? value_len(v) : 1;
    if (!many && value_kind(v) != VALUE_STRING)
        return fields_wrong(err, f->name, "a string or an array of strings", v);
    if (n < 1 || n > ENGINE_MAX_STOPS)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must hold 1 to %d strings, not %zu", f->name,
                         ENGINE_MAX_STOPS, n);
    const char **stops = arena_zalloc(ctx->arena, n, sizeof *stops);
    size_t *lens = arena_zalloc(ctx->arena, n, sizeof *lens);
    if (!stops || !lens)
        return err_set(err, ERR_MEMORY, "out of memory");
    const struct value *x = many ? value_first(v) : v;
    for (size_t i = 0; i < n; i++, x = value_next(x)) {
        int rc = check_stop(x, i, f, err);
        if (rc)
            return rc;
        lens[i] = value_text_len(x);
        stops[i] = value_text(x, ctx->arena);
        if (!stops[i])
            return err_set(err, ERR_MEMORY, "out of memory");
    }
    struct gen_params *gen = &landing(f, into)->gen;
    gen->stops = stops;
    gen->stop_lens = lens;
    gen->n_stops = n;
    return 0;
}

static int read_stop_ids(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err)
{
    if (value_kind(v) != VALUE_ARRAY)
        return fields_wrong(err, f->name, "an array of token ids", v);
    size_t n = value_len(v);
    if (n > MAX_STOP_IDS)
        return err_param(err, ERR_ARGUMENT, f->name, "`%s` may hold %d ids, not %zu",
                         f->name, MAX_STOP_IDS, n);
    int32_t *ids = arena_alloc(ctx->arena, (n + 1) * sizeof *ids);
    if (!ids)
        return err_set(err, ERR_MEMORY, "out of memory");
    const struct value *x = value_first(v);
    for (size_t i = 0; i < n; i++, x = value_next(x)) {
        int64_t id = value_int(x);
        if (value_kind(x) != VALUE_INT || id < 0 || id >= ctx->limits->vocab_size)
            return err_param(err, ERR_ARGUMENT, f->name,
                             "`%s[%zu]` must be a token id of the vocabulary 0..%d",
                             f->name, i, ctx->limits->vocab_size - 1);
        ids[i] = (int32_t)id;
    }
    landing(f, into)->gen.stop_ids = ids;
    landing(f, into)->gen.n_stop_ids = n;
    return 0;
}

/* Decimal without sign or leading zero, so that no two keys mean one id; else -1. */
static int64_t bias_id(const char *key, size_t len)
{
    int64_t id = 0;
    if (len == 0 || len > 10 || (len > 1 && key[0] == '0'))
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (key[i] < '0' || key[i] > '9')
            return -1;
        id = id * 10 + (key[i] - '0');
    }
    return id;
}

static int read_bias_member(struct logit_bias *out, const struct field *f,
                            const struct value *name, int vocab_size, struct err *err)
{
    char key[21];
    int64_t id = bias_id(key, value_peek(name, key, sizeof key));
    if (id < 0 || id >= vocab_size)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` has the key \"%s\"; keys must be token ids of the "
                         "vocabulary 0..%d",
                         f->name, key, vocab_size - 1);
    const struct value *v = value_of(name);
    double x = value_number(v);
    if (!value_numeric(v) || x < f->min || x > f->max)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s[%" PRId64 "]` must be a number from %g to %g", f->name, id,
                         f->min, f->max);
    *out = (struct logit_bias){(int32_t)id, (float)x};
    return 0;
}

static int read_bias(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    if (value_kind(v) != VALUE_OBJECT)
        return fields_wrong(err, f->name, "an object of token ids and numbers", v);
    size_t n = value_len(v);
    struct logit_bias *list = arena_zalloc(ctx->arena, n + 1, sizeof *list);
    if (!list)
        return err_set(err, ERR_MEMORY, "out of memory");
    const struct value *name = value_first(v);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++, name = value_next(name))
        rc = read_bias_member(&list[i], f, name, ctx->limits->vocab_size, err);
    landing(f, into)->gen.bias = list;
    landing(f, into)->gen.n_bias = n;
    return rc;
}

#define AT(member) .at = offsetof(struct sampling, member)
#define GUIDED                                                                           \
    .type = FIELD_REFUSED,                                                               \
    .why = "answers are not constrained to a grammar or schema here"

static const struct field fields[] = {
    {"max_tokens", FIELD_INT, 0, INT_MAX, AT(gen.max_tokens)},
    {"min_tokens", FIELD_INT, 0, INT_MAX, AT(gen.min_tokens)},
    {"temperature", FIELD_NUMBER, 0, 2, AT(gen.temperature)},
    {"top_p", FIELD_NUMBER, 0, 1, true, AT(gen.top_p)},
    {"min_p", FIELD_NUMBER, 0, 1, AT(gen.min_p)},
    {"typical_p", FIELD_NUMBER, 0, 1, true, AT(gen.typical_p)},
    {"top_k", FIELD_OTHER, .read = read_top_k},
    {"repetition_penalty", FIELD_NUMBER, 0.01, 100, AT(gen.repetition_penalty)},
    {"presence_penalty", FIELD_NUMBER, -2, 2, AT(gen.presence_penalty)},
    {"frequency_penalty", FIELD_NUMBER, -2, 2, AT(gen.frequency_penalty)},
    {"seed", FIELD_OTHER, .read = read_seed},
    {"n", FIELD_INT, 1, API_MAX_N, AT(gen.n)},
    {"stop", FIELD_OTHER, .read = sampling_read_stop},
    {"stop_token_ids", FIELD_OTHER, .read = read_stop_ids},
    {"include_stop_str_in_output", FIELD_BOOL, AT(gen.keep_stop)},
    {"ignore_eos", FIELD_BOOL, AT(gen.ignore_eos)},
    {"logit_bias", FIELD_OTHER, -100, 100, .read = read_bias},
    {"priority", FIELD_INT, INT_MIN, INT_MAX, AT(gen.priority)},
    {"guided_json", GUIDED},
    {"guided_regex", GUIDED},
    {"guided_choice", GUIDED},
    {"guided_grammar", GUIDED},
    {"structured_outputs", GUIDED},
    {"grammar", GUIDED},
    {"json_schema", GUIDED},
    {"use_beam_search", FIELD_REFUSED, .why = "there is no beam search here"},
    {"truncate_prompt_tokens", FIELD_REFUSED, .why = "prompts are never truncated"},
};

static void prefer(float *value, float of_model)
{
    if (!isnan(of_model))
        *value = of_model;
}

static void prefer_model(struct gen_params *g, const struct gen_defaults *d,
                         int vocab_size)
{
    prefer(&g->temperature, d->temperature);
    prefer(&g->top_p, d->top_p);
    prefer(&g->min_p, d->min_p);
    prefer(&g->typical_p, d->typical_p);
    prefer(&g->repetition_penalty, d->repetition_penalty);
    prefer(&g->presence_penalty, d->presence_penalty);
    prefer(&g->frequency_penalty, d->frequency_penalty);
    g->top_k = d->top_k < 0 || d->top_k >= vocab_size ? 0 : d->top_k;
}

void sampling_defaults(struct sampling *s, int max_tokens,
                       const struct api_limits *limits)
{
    *s = (struct sampling){0};
    s->gen.max_tokens = max_tokens;
    s->gen.temperature = 1;
    s->gen.top_p = 1;
    s->gen.typical_p = 1;
    s->gen.repetition_penalty = 1;
    s->gen.n = 1;
    s->gen.logprobs = -1;
    if (limits->defaults)
        prefer_model(&s->gen, limits->defaults, limits->vocab_size);
}

struct field_table sampling_table(struct sampling *s)
{
    return (struct field_table){fields, sizeof fields / sizeof *fields, s};
}

int sampling_check(struct sampling *s, const struct api_limits *limits, struct err *err)
{
    if (s->gen.min_tokens > s->gen.max_tokens)
        return err_param(err, ERR_ARGUMENT, "min_tokens",
                         "`min_tokens` (%d) must not exceed `max_tokens` (%d)",
                         s->gen.min_tokens, s->gen.max_tokens);
    if (s->gen.max_tokens >= limits->context_tokens)
        return err_param(err, ERR_CONTEXT, "max_tokens",
                         "a prompt and `max_tokens` (%d) exceed the context of %d tokens",
                         s->gen.max_tokens, limits->context_tokens);
    return 0;
}
