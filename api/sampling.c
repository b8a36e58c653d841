/* The table of generation fields, and readers for those that are lists.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/sampling.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

enum { MAX_STOP_BYTES = 4096, MAX_STOP_IDS = 1024 };

static struct sampling *landing(const struct field *f, void *into)
{
    return (struct sampling *)(void *)((char *)into + f->at);
}

static int read_seed(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                     void *into, struct err *err)
{
    (void)ctx;
    if (json_kind(v) != JK_INT)
        return fields_wrong(err, f->name, "an integer of 64 bits", v);
    struct sampling *s = landing(f, into);
    s->gen.seed = (uint64_t)json_as_int(v);
    s->has_seed = true;
    return 0;
}

/* -1 means "off" to users of other servers. */
static int read_top_k(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                      void *into, struct err *err)
{
    int64_t k = json_as_int(v);
    if (json_kind(v) != JK_INT || k < -1 || k > INT_MAX)
        return fields_wrong(err, f->name, "an integer from 1, or 0 or -1 for off", v);
    landing(f, into)->gen.top_k = k < 0 || k >= ctx->limits->vocab_size ? 0 : (int)k;
    return 0;
}

static int check_stop(const struct json *v, size_t i, const struct field *f,
                      struct err *err)
{
    size_t len;
    if (json_kind(v) != JK_STRING)
        return err_param(err, ERR_ARGUMENT, f->name, "`%s[%zu]` must be a string, not %s",
                         f->name, i, json_kind_name(v));
    json_as_string(v, &len);
    if (len == 0 || len > MAX_STOP_BYTES)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s[%zu]` must be 1 to %d bytes long, not %zu", f->name, i,
                         MAX_STOP_BYTES, len);
    return 0;
}

static int read_stop(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                     void *into, struct err *err)
{
    bool many = json_kind(v) == JK_ARRAY;
    size_t n = many ? json_len(v) : 1;
    if (!many && json_kind(v) != JK_STRING)
        return fields_wrong(err, f->name, "a string or an array of strings", v);
    if (n < 1 || n > ENGINE_MAX_STOPS)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must hold 1 to %d strings, not %zu", f->name,
                         ENGINE_MAX_STOPS, n);
    const char **stops = arena_zalloc(ctx->arena, n, sizeof *stops);
    size_t *lens = arena_zalloc(ctx->arena, n, sizeof *lens);
    if (!stops || !lens)
        return err_set(err, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct json *x = many ? json_at(v, i) : v;
        int rc = check_stop(x, i, f, err);
        if (rc)
            return rc;
        const char *s = json_as_string(x, &lens[i]);
        stops[i] = arena_strdup(ctx->arena, s, lens[i]);
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
                         const struct json *v, void *into, struct err *err)
{
    if (json_kind(v) != JK_ARRAY)
        return fields_wrong(err, f->name, "an array of token ids", v);
    size_t n = json_len(v);
    if (n > MAX_STOP_IDS)
        return err_param(err, ERR_ARGUMENT, f->name, "`%s` may hold %d ids, not %zu",
                         f->name, MAX_STOP_IDS, n);
    int32_t *ids = arena_alloc(ctx->arena, (n + 1) * sizeof *ids);
    if (!ids)
        return err_set(err, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct json *x = json_at(v, i);
        int64_t id = json_as_int(x);
        if (json_kind(x) != JK_INT || id < 0 || id >= ctx->limits->vocab_size)
            return err_param(err, ERR_ARGUMENT, f->name,
                             "`%s[%zu]` must be a token id of the vocabulary 0..%d",
                             f->name, i, ctx->limits->vocab_size - 1);
        ids[i] = (int32_t)id;
    }
    landing(f, into)->gen.stop_ids = ids;
    landing(f, into)->gen.n_stop_ids = n;
    return 0;
}

struct bias_walk {
    const struct field *f;
    int vocab_size;
    struct logit_bias *list; /* room for every member */
    size_t n;
    struct err *err;
};

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

static int bias_member(void *arg, const char *key, size_t key_len, const struct json *v)
{
    struct bias_walk *w = arg;
    int64_t id = bias_id(key, key_len);
    if (id < 0 || id >= w->vocab_size)
        return err_param(
            w->err, ERR_ARGUMENT, w->f->name,
            "`%s` has the key \"%.*s\"; keys must be token ids of the vocabulary "
            "0..%d",
            w->f->name, (int)(key_len < 20 ? key_len : 20), key, w->vocab_size - 1);
    double x = json_as_number(v);
    if (!json_numeric(v) || x < w->f->min || x > w->f->max)
        return err_param(w->err, ERR_ARGUMENT, w->f->name,
                         "`%s[%" PRId64 "]` must be a number from %g to %g", w->f->name,
                         id, w->f->min, w->f->max);
    w->list[w->n++] = (struct logit_bias){(int32_t)id, (float)x};
    return 0;
}

static int read_bias(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                     void *into, struct err *err)
{
    if (json_kind(v) != JK_OBJECT)
        return fields_wrong(err, f->name, "an object of token ids and numbers", v);
    struct bias_walk w = {.f = f, .vocab_size = ctx->limits->vocab_size, .err = err};
    w.list = arena_zalloc(ctx->arena, json_len(v) + 1, sizeof *w.list);
    if (!w.list)
        return err_set(err, ERR_MEMORY, "out of memory");
    int rc = json_each(v, bias_member, &w);
    landing(f, into)->gen.bias = w.list;
    landing(f, into)->gen.n_bias = w.n;
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
    {"stop", FIELD_OTHER, .read = read_stop},
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

void sampling_defaults(struct sampling *s, int max_tokens)
{
    *s = (struct sampling){0};
    s->gen.max_tokens = max_tokens;
    s->gen.temperature = 1;
    s->gen.top_p = 1;
    s->gen.typical_p = 1;
    s->gen.repetition_penalty = 1;
    s->gen.n = 1;
    s->gen.logprobs = -1;
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
