/* The fields of /v1/messages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/messages_request.h"

#include "api/chat_messages.h"
#include "api/chat_tools.h"
#include "api/chat_value.h"
#include "api/messages_input.h"

#include <limits.h>
#include <string.h>

enum thinking { THINKING_DEFAULT, THINKING_ON, THINKING_OFF };

/* Where a walk lands before it is checked. */
struct landing {
    struct messages_request req;
    struct chat_message system;
    bool has_system, marked; /* there is one; the body has a `cache_control` */
    enum thinking thinking;
    const char *tool; /* of tool_choice; NULL: no name */
};

/* ---- readers ------------------------------------------------------------------ */

static int read_messages(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err)
{
    struct body_path at = body_path_member(NULL, f->name);
    struct landing *l = into;
    return messages_input_read(ctx->arena, &at, v, &l->req.chat.chat, &ctx->n_unknown,
                               err);
}

static int read_system(struct fields_ctx *ctx, const struct field *f,
                       const struct value *v, void *into, struct err *err)
{
    struct body_path at = body_path_member(NULL, f->name);
    struct landing *l = into;
    int rc = messages_input_system(ctx->arena, &at, v, &l->system, err);
    l->has_system = l->system.n_parts > 0;
    return rc;
}

/* A mark of the body is one of its last message. */
static int read_mark(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    (void)ctx;
    if (value_kind(v) != VALUE_OBJECT)
        return fields_wrong(err, f->name, "an object", v);
    ((struct landing *)into)->marked = true;
    return 0;
}

/* Tools with a type of their own run in a server, or are known to other models only. */
static int read_tool(struct chat_tools *t, const struct body_path *at,
                     const struct value *v, size_t *n_skipped, struct err *err)
{
    const struct value *type = value_get(v, "type");
    struct body_path type_at = body_path_member(at, "type");
    struct chat_tool tool = {v, at, "input_schema"};
    if (value_kind(type) > VALUE_NULL && value_kind(type) != VALUE_STRING)
        return body_path_wrong(err, &type_at, "a string", type);
    if (value_kind(type) != VALUE_STRING || value_is(type, "custom"))
        return chat_tools_put(t, &tool, err);
    (*n_skipped)++;
    return 0;
}

static int read_tools(struct fields_ctx *ctx, const struct field *f,
                      const struct value *v, void *into, struct err *err)
{
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    struct chat_tools t;
    if (value_kind(v) != VALUE_ARRAY)
        return body_path_wrong(err, &at, "a list of tools", v);
    int rc = chat_tools_open(&t, ctx->arena, &at, value_len(v), err);
    const struct value *x = value_first(v);
    for (size_t i = 0; i < value_len(v) && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(&at, i);
        rc = read_tool(&t, &here, x, &ctx->n_unknown, err);
    }
    if (!rc)
        chat_tools_close(&t, &l->req.chat.chat);
    return rc;
}

static int read_parallel(const struct body_path *at, const struct value *choice,
                         struct chat *chat, struct err *err)
{
    const struct value *v = value_get(choice, "disable_parallel_tool_use");
    struct body_path here = body_path_member(at, "disable_parallel_tool_use");
    if (value_kind(v) > VALUE_NULL && value_kind(v) != VALUE_BOOL)
        return body_path_wrong(err, &here, "true or false", v);
    chat->parallel_tool_calls = !value_bool(v);
    return 0;
}

static int read_tool_choice(struct fields_ctx *ctx, const struct field *f,
                            const struct value *v, void *into, struct err *err)
{
    struct landing *l = into;
    struct chat *chat = &l->req.chat.chat;
    struct body_path at = body_path_member(NULL, f->name);
    struct body_path type_at = body_path_member(&at, "type");
    struct body_path name_at = body_path_member(&at, "name");
    const struct value *type = value_get(v, "type");
    struct chat_text name = {0};
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &at, "an object with a `type`", v);
    if (value_is(type, "any"))
        return chat_tools_force(NULL, "tool_choice.type", NULL, err);
    if (value_is(type, "tool")) {
        int rc = chat_value_text(ctx->arena, &name_at, value_get(v, "name"), &name, err);
        l->tool = name.text;
        return rc;
    }
    if (!value_is(type, "auto") && !value_is(type, "none"))
        return body_path_word(err, ERR_ARGUMENT, &type_at, type,
                              "\"auto\", \"any\", \"tool\" or \"none\"", NULL);
    chat->tool_choice = value_is(type, "none") ? CHAT_TOOLS_NONE : CHAT_TOOLS_AUTO;
    return read_parallel(&at, v, chat, err);
}

static int read_display(const struct body_path *at, const struct value *v, bool *omit,
                        struct err *err)
{
    struct body_path here = body_path_member(at, "display");
    *omit = value_is(v, "omitted");
    if (value_kind(v) <= VALUE_NULL || *omit || value_is(v, "summarized"))
        return 0;
    return body_path_word(err, ERR_ARGUMENT, &here, v, "\"summarized\" or \"omitted\"",
                          NULL);
}

/* A budget cannot be held, but it is checked. */
static int read_thinking(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err)
{
    static const struct {
        const char *type;
        enum thinking thinking;
    } types[] = {{"enabled", THINKING_ON},
                 {"adaptive", THINKING_ON},
                 {"between_tools", THINKING_ON},
                 {"disabled", THINKING_OFF}};
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    struct body_path type_at = body_path_member(&at, "type");
    struct body_path budget_at = body_path_member(&at, "budget_tokens");
    const struct value *budget = value_get(v, "budget_tokens");
    size_t n = sizeof types / sizeof *types, i = 0;
    (void)ctx;
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &at, "an object with a `type`", v);
    while (i < n && !value_is(value_get(v, "type"), types[i].type))
        i++;
    if (i == n)
        return body_path_word(err, ERR_ARGUMENT, &type_at, value_get(v, "type"),
                              "\"enabled\", \"adaptive\" or \"disabled\"", NULL);
    l->thinking = types[i].thinking;
    if (value_kind(budget) > VALUE_NULL &&
        (value_kind(budget) != VALUE_INT || value_int(budget) < 1))
        return body_path_wrong(err, &budget_at, "an integer from 1", budget);
    return read_display(&at, value_get(v, "display"), &l->req.omit_thinking, err);
}

static int read_output(struct fields_ctx *ctx, const struct field *f,
                       const struct value *v, void *into, struct err *err)
{
    static const struct field effort = {"output_config.effort", FIELD_OTHER,
                                        .at = offsetof(struct landing, req.chat.effort),
                                        .read = chat_request_effort};
    struct body_path at = body_path_member(NULL, f->name);
    struct body_path format = body_path_member(&at, "format");
    const struct value *e = value_get(v, "effort");
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &at, "an object", v);
    if (value_kind(value_get(v, "format")) > VALUE_NULL)
        return body_path_error(
            err, ERR_UNSUPPORTED, &format,
            "is not supported: structured output is not supported yet");
    return value_kind(e) > VALUE_NULL ? effort.read(ctx, &effort, e, into, err) : 0;
}

/* Clients that get this error send the whole conversation instead, as they must. */
static int refuse_thread(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    (void)v;
    (void)into;
    return err_param(err, ERR_THREAD, f->name,
                     "`%s` is not supported: no conversation is stored; send all of its "
                     "messages",
                     f->name);
}

static int read_stops(struct fields_ctx *ctx, const struct field *f,
                      const struct value *v, void *into, struct err *err)
{
    if (value_kind(v) != VALUE_ARRAY)
        return fields_wrong(err, f->name, "a list of strings", v);
    return value_len(v) ? sampling_read_stop(ctx, f, v, into, err) : 0;
}

/* ---- the tables --------------------------------------------------------------- */

#define AT(member) .at = offsetof(struct landing, member)
#define NAME       FIELD_STRING, .max = CHAT_REQUEST_NAME_BYTES
#define NOTHING    FIELD_OTHER, .read = chat_request_nothing
#define REFUSED    FIELD_REFUSED, .why

static const struct field fields[] = {
    {"messages", FIELD_OTHER, .read = read_messages},
    {"system", FIELD_OTHER, .read = read_system},
    {"model", NAME, AT(req.chat.model)},
    {"tools", FIELD_OTHER, .read = read_tools},
    {"tool_choice", FIELD_OTHER, .read = read_tool_choice},
    {"thinking", FIELD_OTHER, .read = read_thinking},
    {"output_config", FIELD_OTHER, .read = read_output},
    {"cache_control", FIELD_OTHER, .read = read_mark},
    {"stream", FIELD_BOOL, AT(req.chat.stream)},
    {"chat_template_kwargs", FIELD_OTHER, AT(req.chat.chat.kwargs),
     .read = chat_request_kwargs},
    {"cache_salt", NAME, AT(req.chat.cache_salt)},
    {"prompt_cache_key", NAME, AT(req.chat.prompt_cache_key)},
    {"metadata", NOTHING},
    {"service_tier", NOTHING},
    {"inference_geo", NOTHING},
    {"speed", NOTHING},
    {"diagnostics", NOTHING},
    {"context_management", NOTHING},
    {"thread", FIELD_OTHER, .read = refuse_thread},
    {"container", REFUSED = "no code runs here"},
    {"mcp_servers", REFUSED = "this server calls no other"},
    {"output_format", REFUSED = "structured output is not supported yet"},
    {"stop", REFUSED = "send `stop_sequences`"},
    {"n", REFUSED = "a message is one answer"},
    {"max_completion_tokens", REFUSED = "send `max_tokens`"},
    {"reasoning_effort", REFUSED = "send `output_config.effort`"},
    {"response_format", REFUSED = "structured output is not supported yet"},
    {"state", REFUSED = "states are for /v1/chat/completions and /v1/completions"},
};

#undef AT
#define AT(member) .at = offsetof(struct sampling, member)

/* Where the limits differ from those of every generation. */
static const struct field sampling_fields[] = {
    {"max_tokens", FIELD_INT, 0, INT_MAX, AT(gen.max_tokens)},
    {"temperature", FIELD_NUMBER, 0, 1, AT(gen.temperature)},
    {"stop_sequences", FIELD_OTHER, .read = read_stops},
};

/* ---- checks ------------------------------------------------------------------- */

/* The system's text is the first message. */
static int put_system(struct landing *l, struct err *err)
{
    struct chat *chat = &l->req.chat.chat;
    size_t n = chat->n_messages + l->has_system;
    struct chat_message *all = arena_zalloc(&l->req.chat.arena, n, sizeof *all);
    if (!all)
        return err_no_memory(err);
    all[0] = l->system;
    memcpy(all + l->has_system, chat->messages, chat->n_messages * sizeof *all);
    all[n - 1].breakpoint = all[n - 1].breakpoint || l->marked;
    chat->messages = all;
    chat->n_messages = n;
    return 0;
}

static int put_thinking(struct landing *l, struct err *err)
{
    struct jinja_value on = jinja_bool(l->thinking == THINKING_ON);
    if (l->thinking == THINKING_DEFAULT)
        return 0;
    return chat_request_variable(&l->req.chat, "enable_thinking", on)
               ? 0
               : err_no_memory(err);
}

static int check(struct landing *l, const struct sampling *s,
                 const struct api_limits *limits, struct err *err)
{
    struct chat_request *r = &l->req.chat;
    if (r->chat.n_messages == 0)
        return err_param(err, ERR_ARGUMENT, "messages", "`messages` is missing");
    int rc = 0;
    if (l->tool)
        rc = chat_tools_force(&r->chat, "tool_choice.name", l->tool, err);
    if (!rc)
        rc = put_system(l, err);
    if (!rc)
        rc = put_thinking(l, err);
    return rc ? rc : chat_request_finish(r, s, limits, "max_tokens", err);
}

/* The first table that has a field's name decides. */
static int read_body(struct landing *l, struct sampling *s,
                     const struct api_limits *limits, const char *body, size_t len,
                     struct err *err)
{
    sampling_defaults(s, -1, limits);
    struct fields_ctx ctx = {.arena = &l->req.chat.arena, .limits = limits};
    struct field_table tables[] = {
        {fields, sizeof fields / sizeof *fields, l},
        {sampling_fields, sizeof sampling_fields / sizeof *sampling_fields, s},
        sampling_table(s),
    };
    int rc =
        fields_read_body(&ctx, tables, sizeof tables / sizeof *tables, body, len, err);
    l->req.chat.n_unknown_fields = ctx.n_unknown;
    return rc ? rc : check(l, s, limits, err);
}

int messages_request_parse_count(struct messages_request *req,
                                 const struct api_limits *limits, const char *body,
                                 size_t len, struct err *err)
{
    struct landing l = {0};
    struct sampling s;
    chat_request_init(&l.req.chat);
    int rc = read_body(&l, &s, limits, body, len, err);
    if (rc)
        messages_request_free(&l.req);
    *req = l.req;
    return rc;
}

int messages_request_parse(struct messages_request *req, const struct api_limits *limits,
                           const char *body, size_t len, struct err *err)
{
    int rc = messages_request_parse_count(req, limits, body, len, err);
    if (rc || req->chat.gen.max_tokens >= 0)
        return rc;
    messages_request_free(req);
    return err_param(err, ERR_ARGUMENT, "max_tokens", "`max_tokens` is missing");
}

void messages_request_free(struct messages_request *req)
{
    chat_request_free(&req->chat);
    *req = (struct messages_request){0};
}
