/* The fields of /v1/responses, and what its answers repeat of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/responses_request.h"

#include "api/chat_tools.h"
#include "api/chat_value.h"
#include "api/responses_input.h"
#include "api/responses_settings.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Where a walk lands before it is checked. */
struct landing {
    struct responses_request req;
    struct responses_settings settings;
    int top_logprobs;
    const char *tool; /* of tool_choice; NULL: no name */
    bool has_input;
};

/* ---- readers ---------------------------------------------------------------- */

static int read_input(struct fields_ctx *ctx, const struct field *f,
                      const struct value *v, void *into, struct err *err)
{
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    l->has_input = true;
    return responses_input_read(ctx->arena, &at, v, &l->req.chat.chat, &ctx->n_unknown,
                                err);
}

static int read_instructions(struct fields_ctx *ctx, const struct field *f,
                             const struct value *v, void *into, struct err *err)
{
    struct body_path at = body_path_member(NULL, f->name);
    return chat_value_text(ctx->arena, &at, v,
                           &((struct landing *)into)->settings.instructions, err);
}

/* One function, and its JSON behind that of those before it. */
static int read_tool(struct chat_tools *t, const struct body_path *at,
                     const struct value *v, struct buf *echo, struct err *err)
{
    struct chat_tool tool = {v, at, "parameters"};
    struct chat_text json;
    int rc = chat_tools_put(t, &tool, err);
    if (!rc)
        rc = chat_value_json(t->arena, at, v, &json, err);
    if (rc)
        return rc;
    buf_putc(echo, t->n > 1 ? ',' : '[');
    buf_put(echo, json.text, json.len);
    return 0;
}

/* Tools of other types than functions are skipped. */
static int read_tool_list(struct landing *l, struct fields_ctx *ctx,
                          const struct body_path *at, const struct value *list,
                          struct buf *echo, struct err *err)
{
    struct chat_tools t;
    int rc = chat_tools_open(&t, ctx->arena, at, value_len(list), err);
    const struct value *x = value_first(list);
    for (size_t i = 0; i < value_len(list) && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        struct body_path type_at = body_path_member(&here, "type");
        const struct value *type = value_get(x, "type");
        if (value_kind(type) != VALUE_STRING)
            rc = body_path_wrong(err, &type_at, "a string", type);
        else if (value_is(type, "function"))
            rc = read_tool(&t, &here, x, echo, err);
        else
            ctx->n_unknown++;
    }
    if (!rc)
        chat_tools_close(&t, &l->req.chat.chat);
    return rc;
}

static int read_tools(struct fields_ctx *ctx, const struct field *f,
                      const struct value *v, void *into, struct err *err)
{
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    struct buf echo = {0};
    if (value_kind(v) != VALUE_ARRAY)
        return body_path_wrong(err, &at, "a list of tools", v);
    int rc = read_tool_list(l, ctx, &at, v, &echo, err);
    if (!rc && echo.len) {
        buf_putc(&echo, ']');
        l->settings.tools =
            echo.failed ? NULL : arena_strdup(ctx->arena, echo.data, echo.len);
        rc = l->settings.tools ? 0 : err_no_memory(err);
    }
    buf_free(&echo);
    return rc;
}

static int read_tool_choice(struct fields_ctx *ctx, const struct field *f,
                            const struct value *v, void *into, struct err *err)
{
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    struct body_path name = body_path_member(&at, "name");
    struct body_path type_at = body_path_member(&at, "type");
    const struct value *type = value_get(v, "type");
    bool none = value_is(v, "none");
    struct chat_text text = {0};
    if (none || value_is(v, "auto")) {
        l->req.chat.chat.tool_choice = none ? CHAT_TOOLS_NONE : CHAT_TOOLS_AUTO;
        return 0;
    }
    if (value_is(v, "required"))
        return chat_tools_force(NULL, f->name, NULL, err);
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_word(err, ERR_ARGUMENT, &at, v, CHAT_TOOLS_CHOICES, NULL);
    if (!value_is(type, "function"))
        return body_path_word(err, ERR_UNSUPPORTED, &type_at, type, "\"function\"", NULL);
    int rc = chat_value_text(ctx->arena, &name, value_get(v, "name"), &text, err);
    l->tool = text.text;
    return rc;
}

/* One of some words, by the server's own spelling. NULL and null: none. */
static int read_word(const struct body_path *at, const struct value *v,
                     const char *const *words, const char **out, struct err *err)
{
    char expected[80] = "one of";
    if (value_kind(v) == VALUE_ABSENT || value_kind(v) == VALUE_NULL)
        return 0;
    for (size_t i = 0; words[i]; i++) {
        size_t len = strlen(expected);
        snprintf(expected + len, sizeof expected - len, " \"%s\"", words[i]);
        if (!value_is(v, words[i]))
            continue;
        *out = words[i];
        return 0;
    }
    return body_path_word(err, ERR_ARGUMENT, at, v, expected, NULL);
}

static int read_reasoning(struct fields_ctx *ctx, const struct field *f,
                          const struct value *v, void *into, struct err *err)
{
    static const char *const summaries[] = {"auto", "concise", "detailed", NULL};
    static const struct field effort = {"reasoning.effort", FIELD_OTHER,
                                        .at = offsetof(struct landing, req.chat.effort),
                                        .read = chat_request_effort};
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    struct body_path summary = body_path_member(&at, "summary");
    const struct value *e = value_get(v, "effort");
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &at, "an object", v);
    int rc = value_kind(e) > VALUE_NULL ? effort.read(ctx, &effort, e, into, err) : 0;
    if (!rc)
        rc = read_word(&summary, value_get(v, "summary"), summaries, &l->settings.summary,
                       err);
    l->req.summary = l->settings.summary != NULL;
    return rc;
}

static int read_text(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    static const char *const verbosities[] = {"low", "medium", "high", NULL};
    struct landing *l = into;
    struct body_path at = body_path_member(NULL, f->name);
    struct body_path format = body_path_member(&at, "format");
    struct body_path type = body_path_member(&format, "type");
    struct body_path verbosity = body_path_member(&at, "verbosity");
    const struct value *given = value_get(v, "format");
    (void)ctx;
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &at, "an object", v);
    if (value_kind(given) > VALUE_NULL && value_kind(given) != VALUE_OBJECT)
        return body_path_wrong(err, &format, "an object with a `type`", given);
    if (value_kind(given) == VALUE_OBJECT && !value_is(value_get(given, "type"), "text"))
        return body_path_word(err, ERR_UNSUPPORTED, &type, value_get(given, "type"),
                              "\"text\"", "structured output is not supported yet");
    return read_word(&verbosity, value_get(v, "verbosity"), verbosities,
                     &l->settings.verbosity, err);
}

static int read_include(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err)
{
    struct landing *l = into;
    (void)ctx;
    if (value_kind(v) != VALUE_ARRAY)
        return fields_wrong(err, f->name, "a list", v);
    const struct value *x = value_first(v);
    for (size_t i = 0; i < value_len(v); i++, x = value_next(x))
        if (value_is(x, "reasoning.encrypted_content"))
            l->req.encrypted = true;
    return 0;
}

static int read_metadata(struct fields_ctx *ctx, const struct field *f,
                         const struct value *v, void *into, struct err *err)
{
    struct body_path at = body_path_member(NULL, f->name);
    struct chat_text json;
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &at, "an object", v);
    int rc = chat_value_json(ctx->arena, &at, v, &json, err);
    ((struct landing *)into)->settings.metadata = json.text;
    return rc;
}

/* ---- the table -------------------------------------------------------------- */

#define AT(member) .at = offsetof(struct landing, member)
#define NAME       FIELD_STRING, .max = CHAT_REQUEST_NAME_BYTES
#define NOTHING    FIELD_OTHER, .read = chat_request_nothing
#define REFUSED    FIELD_REFUSED, .why

static const struct field fields[] = {
    {"input", FIELD_OTHER, .read = read_input},
    {"instructions", FIELD_OTHER, .read = read_instructions},
    {"model", NAME, AT(req.chat.model)},
    {"tools", FIELD_OTHER, .read = read_tools},
    {"tool_choice", FIELD_OTHER, .read = read_tool_choice},
    {"parallel_tool_calls", FIELD_BOOL, AT(req.chat.chat.parallel_tool_calls)},
    {"max_output_tokens", FIELD_INT, 1, INT_MAX, AT(settings.max_output_tokens)},
    {"reasoning", FIELD_OTHER, .read = read_reasoning},
    {"text", FIELD_OTHER, .read = read_text},
    {"include", FIELD_OTHER, .read = read_include},
    {"stream", FIELD_BOOL, AT(req.chat.stream)},
    {"metadata", FIELD_OTHER, .read = read_metadata},
    {"chat_template_kwargs", FIELD_OTHER, AT(req.chat.chat.kwargs),
     .read = chat_request_kwargs},
    {"modalities", FIELD_OTHER, .read = chat_request_modalities},
    {"top_logprobs", FIELD_INT, 0, ENGINE_MAX_TOP, AT(top_logprobs)},
    {"user", NAME, AT(req.chat.user)},
    {"cache_salt", NAME, AT(req.chat.cache_salt)},
    {"prompt_cache_key", NAME, AT(req.chat.prompt_cache_key)},
    {"safety_identifier", NAME, AT(settings.safety_identifier)},
    {"store", NOTHING},
    {"service_tier", NOTHING},
    {"truncation", NOTHING},
    {"client_metadata", NOTHING},
    {"verbosity", NOTHING},
    {"stream_options", NOTHING},
    {"max_tool_calls", NOTHING},
    {"prompt_cache_retention", NOTHING},
    {"prompt_cache_options", NOTHING},
    {"previous_response_id", REFUSED = "no response is stored; send the conversation"},
    {"conversation", REFUSED = "no conversation is stored; send it"},
    {"background", REFUSED = "no response is stored, so it is given at once"},
    {"prompt", REFUSED = "no prompt is stored; send `instructions` and `input`"},
    {"context_management", REFUSED = "nothing is compacted here"},
    {"moderation", REFUSED = "nothing is moderated here"},
    {"max_tokens", REFUSED = "send `max_output_tokens`"},
    {"max_completion_tokens", REFUSED = "send `max_output_tokens`"},
    {"messages", REFUSED = "they are for /v1/chat/completions; send `input`"},
    {"functions", REFUSED = "send `tools`"},
    {"response_format", REFUSED = "send `text.format`"},
    {"reasoning_effort", REFUSED = "send `reasoning.effort`"},
    {"logprobs", REFUSED = "they are in /v1/chat/completions"},
    {"return_token_ids", REFUSED = "they are in /v1/chat/completions"},
    {"state", REFUSED = "states are for /v1/chat/completions and /v1/completions"},
    {"cache_breakpoints", REFUSED = "mark parts with `cache_control`"},
};

/* ---- checks ----------------------------------------------------------------- */

/* Instructions are the first message. */
static int put_first(struct landing *l, struct err *err)
{
    struct chat *chat = &l->req.chat.chat;
    size_t n = chat->n_messages + 1;
    if (l->settings.instructions.len == 0)
        return 0;
    struct chat_message *all = arena_zalloc(&l->req.chat.arena, n, sizeof *all);
    struct chat_text *text = arena_zalloc(&l->req.chat.arena, 1, sizeof *text);
    if (!all || !text)
        return err_no_memory(err);
    *text = l->settings.instructions;
    all[0] = (struct chat_message){.role = CHAT_SYSTEM, .parts = text, .n_parts = 1};
    memcpy(all + 1, chat->messages, (n - 1) * sizeof *all);
    chat->messages = all;
    chat->n_messages = n;
    return 0;
}

static int check_one(const struct landing *l, const struct sampling *s, struct err *err)
{
    if (!l->has_input)
        return err_param(err, ERR_ARGUMENT, "input", "`input` is missing");
    if (l->req.chat.chat.n_messages == 0)
        return err_param(err, ERR_ARGUMENT, "input", "`input` must hold a message");
    if (s->gen.n != 1)
        return err_param(err, ERR_UNSUPPORTED, "n",
                         "`n` must be 1: a response is one answer");
    if (l->top_logprobs > 0)
        return err_param(err, ERR_UNSUPPORTED, "top_logprobs",
                         "`top_logprobs` is not supported: log-probabilities are in "
                         "/v1/chat/completions");
    return 0;
}

static int check(struct landing *l, struct sampling *s, const struct api_limits *limits,
                 struct err *err)
{
    int rc = check_one(l, s, err);
    if (!rc && l->tool)
        rc = chat_tools_force(&l->req.chat.chat, "tool_choice.name", l->tool, err);
    if (!rc)
        rc = put_first(l, err);
    s->gen.max_tokens = l->settings.max_output_tokens;
    if (!rc)
        l->req.settings = responses_settings_json(&l->settings, &l->req.chat, &s->gen);
    if (!rc && !l->req.settings)
        rc = err_no_memory(err);
    return rc ? rc
              : chat_request_finish(&l->req.chat, s, limits, "max_output_tokens", err);
}

static int read_body(struct landing *l, const struct api_limits *limits, const char *body,
                     size_t len, struct err *err)
{
    struct sampling s;
    sampling_defaults(&s, -1, limits);
    struct fields_ctx ctx = {.arena = &l->req.chat.arena, .limits = limits};
    struct field_table tables[] = {
        {fields, sizeof fields / sizeof *fields, l},
        sampling_table(&s),
    };
    int rc = fields_read_body(&ctx, tables, 2, body, len, err);
    l->req.chat.n_unknown_fields = ctx.n_unknown;
    return rc ? rc : check(l, &s, limits, err);
}

int responses_request_parse(struct responses_request *req,
                            const struct api_limits *limits, const char *body, size_t len,
                            struct err *err)
{
    struct landing l = {.settings.max_output_tokens = -1};
    chat_request_init(&l.req.chat);
    int rc = read_body(&l, limits, body, len, err);
    if (rc)
        responses_request_free(&l.req);
    *req = l.req;
    return rc;
}

void responses_request_free(struct responses_request *req)
{
    chat_request_free(&req->chat);
    *req = (struct responses_request){0};
}
