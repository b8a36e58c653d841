/* The fields of /v1/completions beyond those of every generation, and the checks between
 * them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/completion_request.h"

#include "api/fields.h"
#include "api/models.h"
#include "api/sampling.h"

#include <inttypes.h>
#include <string.h>

enum { DEFAULT_MAX_TOKENS = 16, MAX_NAME_BYTES = 512 };

/* Where a walk lands before it is checked. */
struct landing {
    struct completion_request req;
    bool has_stream_options;
    int best_of; /* 0 = not given */
};

#define AT(member) .at = offsetof(struct landing, member)

static const struct field stream_fields[] = {
    {"include_usage", FIELD_BOOL, AT(req.include_usage)},
};

static int read_stream_options(struct fields_ctx *ctx, const struct field *f,
                               const struct value *v, void *into, struct err *err)
{
    if (value_kind(v) != VALUE_OBJECT)
        return fields_wrong(err, f->name, "an object", v);
    ((struct landing *)into)->has_stream_options = true;
    struct field_table table = {stream_fields, 1, into};
    return fields_read(ctx, v, &table, err);
}

/* {"type":"text"} asks for nothing. */
static int read_response_format(struct fields_ctx *ctx, const struct field *f,
                                const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    (void)into;
    const struct value *type = value_get(v, "type");
    if (value_kind(type) != VALUE_STRING)
        return fields_wrong(err, f->name, "an object with a `type`", v);
    if (value_is(type, "text"))
        return 0;
    return err_param(err, ERR_UNSUPPORTED, f->name,
                     "`%s` must have the type \"text\" here; no other is supported",
                     f->name);
}

/* Without tools, "none" and "auto" ask for nothing. */
static int read_tool_choice(struct fields_ctx *ctx, const struct field *f,
                            const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    (void)into;
    if (value_is(v, "none") || value_is(v, "auto"))
        return 0;
    return err_param(err, ERR_UNSUPPORTED, f->name,
                     "`%s` is not supported: tools are for /v1/chat/completions",
                     f->name);
}

static const struct field fields[] = {
    {"model", FIELD_STRING, AT(req.model), .max = MAX_NAME_BYTES},
    {"prompt", FIELD_OTHER, AT(req.prompts), .read = prompt_read},
    {"best_of", FIELD_INT, 1, API_MAX_BEST_OF, AT(best_of)},
    {"logprobs", FIELD_INT, 0, 5, AT(req.logprobs)},
    {"echo", FIELD_BOOL, AT(req.echo)},
    {"stream", FIELD_BOOL, AT(req.stream)},
    {"stream_options", FIELD_OTHER, .read = read_stream_options},
    {"user", FIELD_STRING, AT(req.user), .max = MAX_NAME_BYTES},
    {"cache_salt", FIELD_STRING, AT(req.cache_salt), .max = MAX_NAME_BYTES},
    {"prompt_cache_key", FIELD_STRING, AT(req.prompt_cache_key), .max = MAX_NAME_BYTES},
    {"cache_breakpoints", FIELD_OTHER, AT(req.breakpoints), .read = breakpoints_read},
    {"return_token_ids", FIELD_BOOL, AT(req.return_token_ids)},
    {"state", FIELD_OTHER, AT(req.state), .read = states_read_request},
    {"response_format", FIELD_OTHER, .read = read_response_format},
    {"tool_choice", FIELD_OTHER, .read = read_tool_choice},
    {"messages", FIELD_REFUSED, .why = "messages are for /v1/chat/completions"},
    {"tools", FIELD_REFUSED, .why = "tools are for /v1/chat/completions"},
    {"suffix", FIELD_REFUSED, .why = "this model cannot infill"},
    {"prompt_logprobs", FIELD_REFUSED, .why = "ask for `echo` with `logprobs`"},
};

static int check_choices(const struct landing *l, struct err *err)
{
    const struct completion_request *r = &l->req;
    if (l->best_of && l->best_of < r->n)
        return err_param(err, ERR_ARGUMENT, "best_of",
                         "`best_of` (%d) must not be less than `n` (%d)", l->best_of,
                         r->n);
    if (l->best_of > r->n && r->stream)
        return err_param(err, ERR_ARGUMENT, "best_of",
                         "`best_of` (%d) above `n` (%d) cannot be streamed", l->best_of,
                         r->n);
    if (l->has_stream_options && !r->stream)
        return err_param(err, ERR_ARGUMENT, "stream_options",
                         "`stream_options` is for requests with `stream` true");
    if (r->gen.max_tokens == 0 && !r->echo)
        return err_param(err, ERR_ARGUMENT, "max_tokens",
                         "`max_tokens` may be 0 only together with `echo`");
    return 0;
}

/* A state is that of one sequence; the prompt of one that is loaded is not read. */
static int check_state(const struct completion_request *r,
                       const struct api_limits *limits, struct err *err)
{
    const struct states_request *w = &r->state;
    const char *field = w->load ? "state.load" : "state.save";
    if (!w->load && !w->save)
        return 0;
    if (!limits->has_states)
        return err_param(err, ERR_UNSUPPORTED, "state",
                         "`state` is not supported: this server keeps no states");
    if (r->prompts.n > 1)
        return err_param(err, ERR_ARGUMENT, field, "`%s` is for one prompt, not %zu",
                         field, r->prompts.n);
    if (w->save && r->gen.n > 1)
        return err_param(err, ERR_ARGUMENT, "state.save",
                         "`state.save` is for one choice, not %d", r->gen.n);
    if (w->load && r->gen.prompt_logprobs)
        return err_param(err, ERR_ARGUMENT, "state.load",
                         "`state.load` and `echo` with `logprobs` exclude each other: "
                         "what a state holds is not read again");
    return 0;
}

/* A text is measured once it is tokenised. */
static int check_breakpoints(const struct completion_request *r, struct err *err)
{
    const struct prompt *p = &r->prompts.list[0];
    if (r->breakpoints.n && r->prompts.n > 1)
        return err_param(err, ERR_ARGUMENT, "cache_breakpoints",
                         "`cache_breakpoints` is for one prompt, not %zu", r->prompts.n);
    return p->text ? 0 : breakpoints_check(&r->breakpoints, p->n_ids, err);
}

/* The longest prompt of ids; texts are measured once they are tokenised. */
static int check_context(const struct completion_request *r,
                         const struct api_limits *limits, struct err *err)
{
    for (size_t i = 0; i < r->prompts.n; i++) {
        size_t n = r->prompts.list[i].n_ids;
        if (n + (size_t)r->gen.max_tokens <= (size_t)limits->context_tokens)
            continue;
        return err_param(
            err, ERR_CONTEXT, "prompt",
            "the prompt (%zu tokens) and `max_tokens` (%d) exceed the context of "
            "%d tokens",
            n, r->gen.max_tokens, limits->context_tokens);
    }
    return 0;
}

static int check_budget(const struct completion_request *r,
                        const struct api_limits *limits, struct err *err)
{
    size_t choices = r->prompts.n * (size_t)r->gen.n;
    int64_t tokens = (int64_t)choices * r->gen.max_tokens;
    if (choices > limits->max_choices)
        return err_param(
            err, ERR_BUDGET, "n",
            "%zu prompts with %d choices each are %zu answers; one request may ask "
            "for %zu",
            r->prompts.n, r->gen.n, choices, limits->max_choices);
    if (tokens > limits->max_answer_tokens)
        return err_param(err, ERR_BUDGET, "max_tokens",
                         "%zu answers of %d tokens are %" PRId64
                         " tokens; one request may ask for %" PRId64,
                         choices, r->gen.max_tokens, tokens, limits->max_answer_tokens);
    return 0;
}

static int check(struct landing *l, struct sampling *s, const struct api_limits *limits,
                 struct err *err)
{
    struct completion_request *r = &l->req;
    int rc = 0;
    if (r->model)
        rc = models_check(limits, r->model, strlen(r->model), err);
    if (rc == 0 && r->prompts.n == 0)
        rc = err_param(err, ERR_ARGUMENT, "prompt", "`prompt` is missing");
    if (rc == 0)
        rc = sampling_check(s, limits, err);
    r->gen = s->gen;
    r->has_seed = s->has_seed;
    r->n = s->gen.n;
    if (rc == 0)
        rc = check_choices(l, err);
    r->best_of = l->best_of ? l->best_of : r->n;
    r->gen.n = r->best_of;
    r->gen.logprobs = r->best_of > r->n && r->logprobs < 0 ? 0 : r->logprobs;
    r->gen.prompt_logprobs = r->echo && r->logprobs >= 0;
    if (rc == 0)
        rc = check_state(r, limits, err);
    if (rc == 0)
        rc = check_breakpoints(r, err);
    if (rc == 0)
        rc = check_context(r, limits, err);
    return rc ? rc : check_budget(r, limits, err);
}

static int read_body(struct landing *l, const struct api_limits *limits, const char *body,
                     size_t len, struct err *err)
{
    struct sampling s;
    sampling_defaults(&s, DEFAULT_MAX_TOKENS, limits);
    struct fields_ctx ctx = {.arena = &l->req.arena, .limits = limits};
    struct field_table tables[] = {
        {fields, sizeof fields / sizeof *fields, l},
        sampling_table(&s),
    };
    int rc = fields_read_body(&ctx, tables, 2, body, len, err);
    l->req.n_unknown_fields = ctx.n_unknown;
    return rc ? rc : check(l, &s, limits, err);
}

int completion_request_parse(struct completion_request *req,
                             const struct api_limits *limits, const char *body,
                             size_t len, struct err *err)
{
    struct landing l = {.req.logprobs = -1};
    arena_init(&l.req.arena);
    int rc = read_body(&l, limits, body, len, err);
    if (rc)
        completion_request_free(&l.req);
    *req = l.req;
    return rc;
}

void completion_request_free(struct completion_request *req)
{
    arena_free(&req->arena);
    *req = (struct completion_request){0};
}
