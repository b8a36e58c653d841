/* The fields of /v1/chat/completions beyond those of every generation, and the checks that
 * its sisters share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_request.h"

#include "api/chat_messages.h"
#include "api/chat_tools.h"
#include "api/chat_value.h"
#include "api/models.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* Where a walk lands before it is checked. */
struct landing {
    struct chat_request req;
    bool has_stream_options;
    bool logprobs;
    int top_logprobs;                      /* -1 = not given */
    int max_tokens, max_completion_tokens; /* -1 = not given */
    const char *tool;                      /* of tool_choice; NULL: no name */
};

/* ---- readers ------------------------------------------------------------------ */

static int read_messages(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err)
{
    struct body_path at = body_path_member(NULL, f->name);
    return chat_messages_read(ctx->arena, &at, v, &((struct landing *)into)->req.chat,
                              err);
}

static int read_tools(struct fields_ctx *ctx, const struct field *f,
                      const struct value *v, void *into, struct err *err)
{
    struct body_path at = body_path_member(NULL, f->name);
    return chat_tools_read(ctx->arena, &at, v, &((struct landing *)into)->req.chat, err);
}

static int read_tool_name(struct fields_ctx *ctx, const struct field *f,
                          const struct value *v, struct landing *l, struct err *err)
{
    struct body_path root = body_path_member(NULL, f->name);
    struct body_path type_at = body_path_member(&root, "type");
    struct body_path function = body_path_member(&root, "function");
    struct body_path name = body_path_member(&function, "name");
    const struct value *type = value_get(v, "type");
    if (!value_is(type, "function"))
        return body_path_word(err, ERR_UNSUPPORTED, &type_at, type, "\"function\"", NULL);
    struct chat_text text;
    int rc = chat_value_text(ctx->arena, &name,
                             value_get(value_get(v, "function"), "name"), &text, err);
    l->tool = text.text;
    return rc;
}

static int read_tool_choice(struct fields_ctx *ctx, const struct field *f,
                            const struct value *v, void *into, struct err *err)
{
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    bool none = value_is(v, "none");
    if (none || value_is(v, "auto")) {
        l->req.chat.tool_choice = none ? CHAT_TOOLS_NONE : CHAT_TOOLS_AUTO;
        return 0;
    }
    if (value_is(v, "required"))
        return chat_tools_force(NULL, f->name, NULL, err);
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_word(err, ERR_ARGUMENT, &at, v, CHAT_TOOLS_CHOICES, NULL);
    return read_tool_name(ctx, f, v, l, err);
}

static int read_stream_options(struct fields_ctx *ctx, const struct field *f,
                               const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    struct landing *l = into;
    if (value_kind(v) != VALUE_OBJECT)
        return fields_wrong(err, f->name, "an object", v);
    const struct value *usage = value_get(v, "include_usage");
    if (usage && value_kind(usage) != VALUE_NULL && value_kind(usage) != VALUE_BOOL)
        return fields_wrong(err, "stream_options.include_usage", "true or false", usage);
    l->has_stream_options = true;
    l->req.include_usage = value_bool(usage);
    return 0;
}

static int read_response_format(struct fields_ctx *ctx, const struct field *f,
                                const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    (void)into;
    const struct value *type = value_get(v, "type");
    if (value_kind(v) != VALUE_OBJECT)
        return fields_wrong(err, f->name, "an object with a `type`", v);
    struct body_path at = body_path_member(NULL, f->name);
    struct body_path here = body_path_member(&at, "type");
    if (value_kind(type) != VALUE_STRING)
        return body_path_wrong(err, &here, "a string", type);
    if (value_is(type, "text"))
        return 0;
    return body_path_word(err, ERR_UNSUPPORTED, &here, type, "\"text\"",
                          "structured output is not supported yet");
}

int chat_request_modalities(struct fields_ctx *ctx, const struct field *f,
                            const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    (void)into;
    if (value_kind(v) != VALUE_ARRAY)
        return fields_wrong(err, f->name, "a list", v);
    if (value_len(v) == 1 && value_is(value_first(v), "text"))
        return 0;
    return err_param(err, ERR_UNSUPPORTED, f->name,
                     "`%s` must be [\"text\"]: the model answers in text only", f->name);
}

int chat_request_nothing(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    (void)f;
    (void)v;
    (void)into;
    (void)err;
    return 0;
}

int chat_request_effort(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err)
{
    static const char *const efforts[] = {"none", "minimal", "low", "medium",
                                          "high", "xhigh",   "max"};
    (void)ctx;
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++)
        if (value_is(v, efforts[i])) {
            *(const char **)(void *)((char *)into + f->at) = efforts[i];
            return 0;
        }
    struct body_path at = body_path_member(NULL, f->name);
    return body_path_word(err, ERR_ARGUMENT, &at, v,
                          "\"none\", \"minimal\", \"low\", \"medium\", \"high\", "
                          "\"xhigh\" or \"max\"",
                          NULL);
}

/* What a template finds without being told: none of it is a client's to set. */
static const char *const server_names[] = {"messages",      "tools",
                                           "documents",     "add_generation_prompt",
                                           "bos_token",     "eos_token",
                                           "pad_token",     "unk_token",
                                           "sep_token",     "cls_token",
                                           "mask_token",    "additional_special_tokens",
                                           "chat_template", "raise_exception",
                                           "strftime_now",  "range",
                                           "namespace",     "dict",
                                           "lipsum",        "cycler",
                                           "joiner",        "loop",
                                           "self",          "super",
                                           "caller",        "varargs",
                                           "kwargs",        "true",
                                           "false",         "none",
                                           "True",          "False",
                                           "None"};

int chat_request_kwargs(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err)
{
    struct body_path at = body_path_member(NULL, f->name);
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &at, "an object of variables for the template", v);
    for (size_t i = 0; i < sizeof server_names / sizeof *server_names; i++) {
        struct body_path name = body_path_member(&at, server_names[i]);
        if (value_get(v, server_names[i]))
            return body_path_error(err, ERR_ARGUMENT, &name,
                                   "must not be given: the server sets it");
    }
    return chat_value_read(ctx->arena, &at, v, CHAT_MARK_OTHER,
                           (struct jinja_value *)(void *)((char *)into + f->at), err);
}

/* ---- the table ---------------------------------------------------------------- */

#define AT(member) .at = offsetof(struct landing, member)
#define NAME       FIELD_STRING, .max = CHAT_REQUEST_NAME_BYTES
#define NOTHING    FIELD_OTHER, .read = chat_request_nothing
#define REFUSED    FIELD_REFUSED, .why

static const struct field fields[] = {
    {"messages", FIELD_OTHER, .read = read_messages},
    {"model", NAME, AT(req.model)},
    {"tools", FIELD_OTHER, .read = read_tools},
    {"tool_choice", FIELD_OTHER, .read = read_tool_choice},
    {"parallel_tool_calls", FIELD_BOOL, AT(req.chat.parallel_tool_calls)},
    {"response_format", FIELD_OTHER, .read = read_response_format},
    {"reasoning_effort", FIELD_OTHER, AT(req.effort), .read = chat_request_effort},
    {"chat_template_kwargs", FIELD_OTHER, AT(req.chat.kwargs),
     .read = chat_request_kwargs},
    {"add_generation_prompt", FIELD_BOOL, AT(req.chat.add_generation_prompt)},
    {"max_tokens", FIELD_INT, 1, INT_MAX, AT(max_tokens)},
    {"max_completion_tokens", FIELD_INT, 1, INT_MAX, AT(max_completion_tokens)},
    {"logprobs", FIELD_BOOL, AT(logprobs)},
    {"top_logprobs", FIELD_INT, 0, ENGINE_MAX_TOP, AT(top_logprobs)},
    {"stream", FIELD_BOOL, AT(req.stream)},
    {"stream_options", FIELD_OTHER, .read = read_stream_options},
    {"user", NAME, AT(req.user)},
    {"cache_salt", NAME, AT(req.cache_salt)},
    {"prompt_cache_key", NAME, AT(req.prompt_cache_key)},
    {"return_token_ids", FIELD_BOOL, AT(req.return_token_ids)},
    {"state", FIELD_OTHER, AT(req.state), .read = states_read_request},
    {"modalities", FIELD_OTHER, .read = chat_request_modalities},
    {"store", NOTHING},
    {"metadata", NOTHING},
    {"service_tier", NOTHING},
    {"safety_identifier", NOTHING},
    {"verbosity", NOTHING},
    {"prediction", NOTHING},
    {"prompt_cache_retention", NOTHING},
    {"functions", REFUSED = "send `tools`"},
    {"function_call", REFUSED = "send `tool_choice`"},
    {"audio", REFUSED = "the model answers in text only"},
    {"web_search_options", REFUSED = "this server searches nothing"},
    {"prompt", REFUSED = "a prompt is for /v1/completions, chat has `messages`"},
    {"best_of", REFUSED = "it is for /v1/completions"},
    {"echo", REFUSED = "it is for /v1/completions"},
    {"suffix", REFUSED = "it is for /v1/completions"},
    {"chat_template", REFUSED = "the server's own template is used"},
    {"continue_final_message", REFUSED = "an answer begins a message of its own"},
    {"cache_breakpoints", REFUSED = "mark messages with `cache_control`"},
};

/* ---- checks ------------------------------------------------------------------- */

void chat_request_init(struct chat_request *req)
{
    *req = (struct chat_request){.logprobs = -1};
    arena_init(&req->arena);
    req->chat.tools = jinja_none();
    req->chat.kwargs = jinja_none();
    req->chat.add_generation_prompt = true;
    req->chat.parallel_tool_calls = true;
}

bool chat_request_variable(struct chat_request *req, const char *name,
                           struct jinja_value v)
{
    struct jinja_value *kwargs = &req->chat.kwargs;
    if (kwargs->kind != JINJA_DICT)
        *kwargs = jinja_dict(&req->arena);
    if (kwargs->kind != JINJA_DICT || v.kind == JINJA_UNDEFINED)
        return false;
    if (jinja_dict_get(kwargs->dict, name, strlen(name)).kind != JINJA_UNDEFINED)
        return true;
    return jinja_dict_set(&req->arena, kwargs->dict, name, v);
}

/* The word is one of ours, so it has no mark. */
static int apply_effort(struct chat_request *req, struct err *err)
{
    const char *effort = req->effort;
    if (!effort)
        return 0;
    bool ok = chat_request_variable(req, "reasoning_effort",
                                    jinja_text(&req->arena, effort, strlen(effort), 0));
    if (ok && strcmp(effort, "none") == 0)
        ok = chat_request_variable(req, "enable_thinking", jinja_bool(false));
    return ok ? 0 : err_no_memory(err);
}

static int check_state(const struct chat_request *r, const struct api_limits *limits,
                       struct err *err)
{
    if (!r->state.load && !r->state.save)
        return 0;
    if (!limits->has_states)
        return err_param(err, ERR_UNSUPPORTED, "state",
                         "`state` is not supported: this server keeps no states");
    if (r->state.save && r->gen.n > 1)
        return err_param(err, ERR_ARGUMENT, "state.save",
                         "`state.save` is for one answer, not %d", r->gen.n);
    return 0;
}

static int check_limit(const struct chat_request *r, const struct api_limits *limits,
                       const char *limit, struct err *err)
{
    const struct gen_params *g = &r->gen;
    if (g->max_tokens >= limits->context_tokens)
        return err_param(err, ERR_CONTEXT, limit,
                         "a prompt and `%s` (%d) exceed the context of %d tokens", limit,
                         g->max_tokens, limits->context_tokens);
    if (g->max_tokens >= 0 && g->min_tokens > g->max_tokens)
        return err_param(err, ERR_ARGUMENT, "min_tokens",
                         "`min_tokens` (%d) must not exceed `%s` (%d)", g->min_tokens,
                         limit, g->max_tokens);
    if (g->min_tokens >= limits->context_tokens)
        return err_param(err, ERR_CONTEXT, "min_tokens",
                         "a prompt and `min_tokens` (%d) exceed the context of %d tokens",
                         g->min_tokens, limits->context_tokens);
    return 0;
}

static int check_budget(const struct chat_request *r, const struct api_limits *limits,
                        const char *limit, struct err *err)
{
    int64_t tokens = (int64_t)r->gen.n * r->gen.max_tokens;
    if ((size_t)r->gen.n > limits->max_choices)
        return err_param(err, ERR_BUDGET, "n", "%d answers; one request may ask for %zu",
                         r->gen.n, limits->max_choices);
    if (tokens > limits->max_answer_tokens)
        return err_param(err, ERR_BUDGET, limit,
                         "%d answers of %d tokens are %" PRId64
                         " tokens; one request may ask for %" PRId64,
                         r->gen.n, r->gen.max_tokens, tokens, limits->max_answer_tokens);
    return 0;
}

int chat_request_finish(struct chat_request *req, const struct sampling *s,
                        const struct api_limits *limits, const char *limit,
                        struct err *err)
{
    req->gen = s->gen;
    req->gen.logprobs = req->logprobs;
    req->has_seed = s->has_seed;
    if (req->chat.tool_choice == CHAT_TOOLS_NONE) {
        req->chat.tools = jinja_none();
        req->chat.n_specs = 0;
    }
    int rc = apply_effort(req, err);
    if (!rc && req->model)
        rc = models_check(limits, req->model, strlen(req->model), err);
    if (!rc)
        rc = check_limit(req, limits, limit, err);
    if (!rc)
        rc = check_state(req, limits, err);
    return rc ? rc : check_budget(req, limits, limit, err);
}

/* ---- the body ----------------------------------------------------------------- */

/* Older clients send the one name, newer ones the other, some both. */
static int take_limit(const struct landing *l, struct sampling *s, const char **name,
                      struct err *err)
{
    int older = l->max_tokens, newer = l->max_completion_tokens;
    if (older >= 0 && newer >= 0 && older != newer)
        return err_param(err, ERR_ARGUMENT, "max_tokens",
                         "`max_tokens` (%d) and `max_completion_tokens` (%d) differ",
                         older, newer);
    s->gen.max_tokens = newer >= 0 ? newer : older;
    *name = newer >= 0 ? "max_completion_tokens" : "max_tokens";
    return 0;
}

static int take_logprobs(struct landing *l, struct err *err)
{
    if (l->top_logprobs > 0 && !l->logprobs)
        return err_param(err, ERR_ARGUMENT, "top_logprobs",
                         "`top_logprobs` is for requests with `logprobs` true");
    if (l->logprobs)
        l->req.logprobs = l->top_logprobs > 0 ? l->top_logprobs : 0;
    return 0;
}

static int check(struct landing *l, struct sampling *s, const struct api_limits *limits,
                 struct err *err)
{
    const char *limit = "max_tokens";
    if (l->req.chat.n_messages == 0)
        return err_param(err, ERR_ARGUMENT, "messages", "`messages` is missing");
    if (l->has_stream_options && !l->req.stream)
        return err_param(err, ERR_ARGUMENT, "stream_options",
                         "`stream_options` is for requests with `stream` true");
    int rc = take_logprobs(l, err);
    if (!rc && l->tool)
        rc = chat_tools_force(&l->req.chat, "tool_choice.function.name", l->tool, err);
    if (!rc)
        rc = take_limit(l, s, &limit, err);
    return rc ? rc : chat_request_finish(&l->req, s, limits, limit, err);
}

static int read_body(struct landing *l, const struct api_limits *limits, const char *body,
                     size_t len, struct err *err)
{
    struct sampling s;
    sampling_defaults(&s, -1, limits);
    struct fields_ctx ctx = {.arena = &l->req.arena, .limits = limits};
    struct field_table tables[] = {
        {fields, sizeof fields / sizeof *fields, l},
        sampling_table(&s),
    };
    int rc = fields_read_body(&ctx, tables, 2, body, len, err);
    l->req.n_unknown_fields = ctx.n_unknown;
    return rc ? rc : check(l, &s, limits, err);
}

int chat_request_parse(struct chat_request *req, const struct api_limits *limits,
                       const char *body, size_t len, struct err *err)
{
    struct landing l = {
        .top_logprobs = -1, .max_tokens = -1, .max_completion_tokens = -1};
    chat_request_init(&l.req);
    int rc = read_body(&l, limits, body, len, err);
    if (rc)
        chat_request_free(&l.req);
    *req = l.req;
    return rc;
}

void chat_request_free(struct chat_request *req)
{
    arena_free(&req->arena);
    *req = (struct chat_request){0};
}
