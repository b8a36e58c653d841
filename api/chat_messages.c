/* Readers of one message, by member; then the check that results follow their calls.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_messages.h"

#include "api/chat_value.h"
#include "engine/base/map.h"

static const char *const roles[] = {[CHAT_SYSTEM] = "system",
                                    [CHAT_DEVELOPER] = "developer",
                                    [CHAT_USER] = "user",
                                    [CHAT_ASSISTANT] = "assistant",
                                    [CHAT_TOOL] = "tool"};

enum { N_ROLES = sizeof roles / sizeof *roles };

/* null is absent. */
static const struct value *member(const struct value *object, const char *name)
{
    const struct value *v = value_get(object, name);
    return value_kind(v) == VALUE_NULL ? NULL : v;
}

/* A text that may be absent. */
static int read_text(struct arena *arena, const struct body_path *at,
                     const struct value *object, const char *name, struct chat_text *out,
                     struct err *err)
{
    const struct value *v = member(object, name);
    struct body_path here = body_path_member(at, name);
    return v ? chat_value_text(arena, &here, v, out, err) : 0;
}

int chat_messages_mark(const struct body_path *at, const struct value *object,
                       bool *breakpoint, struct err *err)
{
    const struct value *v = member(object, "cache_control");
    struct body_path here = body_path_member(at, "cache_control");
    if (!v)
        return 0;
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, &here, "an object", v);
    *breakpoint = true;
    return 0;
}

/* ---- content ------------------------------------------------------------------ */

/* The member that holds a part's text, by its type; NULL: another kind of part. */
static const char *text_member(const struct value *type)
{
    static const char *const texts[] = {"text", "input_text", "output_text"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (value_is(type, texts[i]))
            return "text";
    return value_is(type, "refusal") ? "refusal" : NULL;
}

int chat_messages_part(struct arena *arena, const struct body_path *at,
                       const struct value *part, struct chat_text *out, bool *breakpoint,
                       struct err *err)
{
    if (value_kind(part) != VALUE_OBJECT)
        return body_path_wrong(err, at, "an object with a `type`", part);
    const struct value *type = value_get(part, "type");
    struct body_path here = body_path_member(at, "type");
    if (value_kind(type) != VALUE_STRING)
        return body_path_wrong(err, &here, "a string", type);
    const char *name = text_member(type);
    if (!name)
        return body_path_word(err, ERR_UNSUPPORTED, &here, type, "\"text\"",
                              "the model takes text only, no images, audio or files");
    here = body_path_member(at, name);
    int rc = chat_value_text(arena, &here, value_get(part, name), out, err);
    return rc ? rc : chat_messages_mark(at, part, breakpoint, err);
}

int chat_messages_content(struct arena *arena, const struct body_path *at,
                          const struct value *v, struct chat_message *m, struct err *err)
{
    enum value_kind kind = value_kind(v);
    if (kind == VALUE_ABSENT || kind == VALUE_NULL)
        return 0;
    if (kind != VALUE_STRING && kind != VALUE_ARRAY)
        return body_path_wrong(err, at, "a string or a list of parts", v);
    size_t n = kind == VALUE_STRING ? 1 : value_len(v);
    struct chat_text *parts = arena_zalloc(arena, n + 1, sizeof *parts);
    if (!parts)
        return err_no_memory(err);
    m->parts = parts;
    m->n_parts = n;
    m->is_list = kind == VALUE_ARRAY;
    if (kind == VALUE_STRING)
        return chat_value_text(arena, at, v, parts, err);
    const struct value *x = value_first(v);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        rc = chat_messages_part(arena, &here, x, &parts[i], &m->breakpoint, err);
    }
    return rc;
}

/* ---- calls -------------------------------------------------------------------- */

int chat_messages_arguments(struct arena *arena, const struct body_path *at,
                            const struct value *v, struct chat_text *out, struct err *err)
{
    switch (value_kind(v)) {
    case VALUE_STRING:
        return chat_value_text(arena, at, v, out, err);
    case VALUE_OBJECT:
        return chat_value_json(arena, at, v, out, err);
    case VALUE_NULL:
    case VALUE_ABSENT:
        *out = (struct chat_text){"", 0};
        return 0;
    default:
        return body_path_wrong(err, at, "a string of JSON or an object", v);
    }
}

static int read_function(struct arena *arena, const struct body_path *at,
                         const struct value *v, struct chat_call *out, struct err *err)
{
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, at, "an object with `name` and `arguments`", v);
    struct body_path here = body_path_member(at, "name");
    int rc = chat_value_text(arena, &here, value_get(v, "name"), &out->name, err);
    if (!rc && out->name.len == 0)
        rc = body_path_error(err, ERR_ARGUMENT, &here, "must not be empty");
    here = body_path_member(at, "arguments");
    if (!rc)
        rc = chat_messages_arguments(arena, &here, value_get(v, "arguments"),
                                     &out->arguments, err);
    return rc;
}

static int read_call(struct arena *arena, const struct body_path *at,
                     const struct value *v, struct chat_call *out, struct err *err)
{
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, at, "an object with `id` and `function`", v);
    const struct value *type = member(v, "type");
    struct body_path here = body_path_member(at, "type");
    if (type && !value_is(type, "function"))
        return body_path_word(err, ERR_UNSUPPORTED, &here, type, "\"function\"", NULL);
    here = body_path_member(at, "function");
    int rc = read_function(arena, &here, value_get(v, "function"), out, err);
    return rc ? rc : read_text(arena, at, v, "id", &out->id, err);
}

static int read_calls(struct arena *arena, const struct body_path *at,
                      const struct value *v, struct chat_message *m, struct err *err)
{
    if (!v)
        return 0;
    if (value_kind(v) != VALUE_ARRAY)
        return body_path_wrong(err, at, "a list of calls", v);
    size_t n = value_len(v);
    struct chat_call *calls = arena_zalloc(arena, n + 1, sizeof *calls);
    if (!calls)
        return err_no_memory(err);
    m->calls = calls;
    m->n_calls = n;
    const struct value *x = value_first(v);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        rc = read_call(arena, &here, x, &calls[i], err);
    }
    return rc;
}

/* ---- messages ----------------------------------------------------------------- */

static int read_role(const struct body_path *at, const struct value *v,
                     enum chat_role *out, struct err *err)
{
    struct body_path here = body_path_member(at, "role");
    if (value_kind(v) != VALUE_STRING)
        return body_path_wrong(err, &here, "a string", v);
    if (value_is(v, "function"))
        return body_path_error(err, ERR_UNSUPPORTED, &here,
                               "must not be \"function\": results of calls have the role "
                               "\"tool\"");
    for (size_t i = 0; i < N_ROLES; i++)
        if (value_is(v, roles[i])) {
            *out = (enum chat_role)i;
            return 0;
        }
    return body_path_word(err, ERR_ARGUMENT, &here, v,
                          "\"system\", \"developer\", \"user\", \"assistant\" or "
                          "\"tool\"",
                          NULL);
}

/* What only an answer of other models has, and has text in place of. */
static int refuse_others(const struct body_path *at, const struct value *v,
                         struct err *err)
{
    static const struct {
        const char *name, *why;
    } others[] = {
        {"function_call", "is not supported: send `tool_calls`"},
        {"audio", "is not supported: the model takes text only"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct body_path here = body_path_member(at, others[i].name);
        if (member(v, others[i].name))
            return body_path_error(err, ERR_UNSUPPORTED, &here, "%s", others[i].why);
    }
    return 0;
}

/* A refusal takes the place of content. */
static int read_refusal(struct arena *arena, const struct body_path *at,
                        const struct value *v, struct chat_message *m, struct err *err)
{
    struct body_path here = body_path_member(at, "refusal");
    const struct value *refusal = member(v, "refusal");
    if (m->n_parts || !refusal)
        return 0;
    if (value_kind(refusal) != VALUE_STRING)
        return body_path_wrong(err, &here, "a string", refusal);
    return chat_messages_content(arena, &here, refusal, m, err);
}

static int read_assistant(struct arena *arena, const struct body_path *at,
                          const struct value *v, struct chat_message *m, struct err *err)
{
    const char *reasoning =
        member(v, "reasoning_content") ? "reasoning_content" : "reasoning";
    int rc = refuse_others(at, v, err);
    if (!rc)
        rc = read_refusal(arena, at, v, m, err);
    if (!rc)
        rc = read_text(arena, at, v, reasoning, &m->reasoning, err);
    struct body_path here = body_path_member(at, "tool_calls");
    return rc ? rc : read_calls(arena, &here, member(v, "tool_calls"), m, err);
}

static int read_message(struct arena *arena, const struct body_path *at,
                        const struct value *v, struct chat_message *m, struct err *err)
{
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, at, "an object with `role` and `content`", v);
    struct body_path here = body_path_member(at, "content");
    int rc = read_role(at, value_get(v, "role"), &m->role, err);
    if (!rc)
        rc = chat_messages_content(arena, &here, value_get(v, "content"), m, err);
    if (!rc)
        rc = read_text(arena, at, v, "name", &m->name, err);
    if (!rc)
        rc = chat_messages_mark(at, v, &m->breakpoint, err);
    if (!rc && m->role == CHAT_ASSISTANT)
        rc = read_assistant(arena, at, v, m, err);
    here = body_path_member(at, "tool_call_id");
    if (!rc && m->role == CHAT_TOOL)
        rc = chat_value_text(arena, &here, value_get(v, "tool_call_id"), &m->tool_call_id,
                             err);
    return rc;
}

/* ---- results follow their calls ----------------------------------------------- */

/* The ids of the calls so far. */
struct seen {
    struct strmap ids;
    bool any; /* a call without an id */
};

static bool see_calls(struct seen *s, const struct chat_message *m)
{
    for (size_t i = 0; i < m->n_calls; i++) {
        const struct chat_text *id = &m->calls[i].id;
        s->any = s->any || id->len == 0;
        if (id->len && !strmap_put(&s->ids, id->text, id->len, 1))
            return false;
    }
    return true;
}

static bool is_stray(const struct seen *s, const struct chat_message *m)
{
    const struct chat_text *id = &m->tool_call_id;
    if (m->role != CHAT_TOOL || s->any)
        return false;
    return id->len == 0 || !strmap_get(&s->ids, id->text, id->len, 0);
}

int chat_messages_stray(const struct chat_message *messages, size_t n, size_t *index,
                        struct err *err)
{
    struct seen s = {0};
    if (!strmap_init(&s.ids, 8))
        return err_no_memory(err);
    bool ok = true;
    size_t i = 0;
    for (; i < n && ok && !is_stray(&s, &messages[i]); i++)
        ok = see_calls(&s, &messages[i]);
    strmap_free(&s.ids);
    *index = i;
    return ok ? 0 : err_no_memory(err);
}

static int check_results(const struct body_path *at, const struct chat *chat,
                         struct err *err)
{
    size_t i;
    int rc = chat_messages_stray(chat->messages, chat->n_messages, &i, err);
    if (rc || i == chat->n_messages)
        return rc;
    struct body_path message = body_path_element(at, i);
    struct body_path id = body_path_member(&message, "tool_call_id");
    return body_path_error(err, ERR_ARGUMENT, &id,
                           "is of no call before it: a tool result follows an assistant "
                           "message that has the call in `tool_calls`");
}

int chat_messages_read(struct arena *arena, const struct body_path *at,
                       const struct value *list, struct chat *out, struct err *err)
{
    size_t n = value_len(list);
    if (value_kind(list) != VALUE_ARRAY)
        return body_path_wrong(err, at, "a list of messages", list);
    if (n == 0)
        return body_path_error(err, ERR_ARGUMENT, at, "must not be empty");
    struct chat_message *messages = arena_zalloc(arena, n, sizeof *messages);
    if (!messages)
        return err_no_memory(err);
    out->messages = messages;
    out->n_messages = n;
    const struct value *x = value_first(list);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        rc = read_message(arena, &here, x, &messages[i], err);
    }
    return rc ? rc : check_results(at, out, err);
}
