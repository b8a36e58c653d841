/* One reader for each type of item. An assistant's message stays open while items of its
 * own follow; its texts and calls are runs of two arrays that all messages share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/responses_input.h"

#include "api/base64.h"
#include "api/chat_messages.h"
#include "api/chat_value.h"
#include "engine/base/utf8.h"

#include <string.h>

struct reading {
    struct arena *arena;
    struct chat_message *messages; /* [n]; one more is open */
    size_t *item_of;               /* [n]: the item that a message began with */
    struct chat_text *parts;       /* the next one that is free */
    struct chat_call *calls;       /* the next one that is free */
    struct buf reasoning;          /* of the open message */
    size_t n, n_skipped;
    bool open;
};

/* An item and its place. */
struct item {
    const struct value *v;
    const struct body_path *at;
    size_t index;
};

typedef int item_fn(struct reading *r, const struct item *item, struct err *err);

/* null is absent. */
static const struct value *member(const struct value *object, const char *name)
{
    const struct value *v = value_get(object, name);
    return value_kind(v) == VALUE_NULL ? NULL : v;
}

/* ---- messages that open and close ------------------------------------------- */

/* A message of one text is a text, whether it came as a list or not; one of nothing, of
 * reasoning without a word, is none. */
static int close_message(struct reading *r, struct err *err)
{
    struct chat_message *m = &r->messages[r->n];
    if (!r->open)
        return 0;
    r->open = false;
    if (m->n_parts + m->n_calls + r->reasoning.len == 0)
        return 0;
    r->n++;
    m->is_list = m->n_parts > 1;
    if (r->reasoning.len == 0)
        return 0;
    m->reasoning.text = arena_strdup(r->arena, r->reasoning.data, r->reasoning.len);
    m->reasoning.len = r->reasoning.len;
    bool ok = m->reasoning.text && !r->reasoning.failed;
    buf_reset(&r->reasoning);
    return ok ? 0 : err_no_memory(err);
}

/* The assistant's message that is open, or a new one. */
static struct chat_message *assistant(struct reading *r, const struct item *item)
{
    struct chat_message *m = &r->messages[r->n];
    if (r->open)
        return m;
    r->open = true;
    r->item_of[r->n] = item->index;
    m->role = CHAT_ASSISTANT;
    m->parts = r->parts;
    m->calls = r->calls;
    return m;
}

/* ---- items ------------------------------------------------------------------ */

static int read_role(const struct item *item, enum chat_role *out, struct err *err)
{
    static const struct {
        const char *name;
        enum chat_role role;
    } roles[] = {{"user", CHAT_USER},
                 {"assistant", CHAT_ASSISTANT},
                 {"system", CHAT_SYSTEM},
                 {"developer", CHAT_DEVELOPER}};
    const struct value *v = value_get(item->v, "role");
    struct body_path at = body_path_member(item->at, "role");
    if (value_kind(v) != VALUE_STRING)
        return body_path_wrong(err, &at, "a string", v);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (value_is(v, roles[i].name)) {
            *out = roles[i].role;
            return 0;
        }
    return body_path_word(err, ERR_ARGUMENT, &at, v,
                          "\"user\", \"assistant\", \"system\" or \"developer\"",
                          "results of calls are items of type \"function_call_output\"");
}

static int read_message(struct reading *r, const struct item *item, struct err *err)
{
    struct chat_message read = {0};
    struct body_path at = body_path_member(item->at, "content");
    int rc = read_role(item, &read.role, err);
    if (!rc)
        rc = chat_messages_content(r->arena, &at, value_get(item->v, "content"), &read,
                                   err);
    if (!rc && read.role != CHAT_ASSISTANT)
        rc = close_message(r, err);
    if (rc)
        return rc;
    struct chat_message *m = &r->messages[r->n];
    if (read.role == CHAT_ASSISTANT) {
        m = assistant(r, item);
        m->breakpoint = m->breakpoint || read.breakpoint;
        for (size_t i = 0; i < read.n_parts; i++)
            *r->parts++ = read.parts[i];
        m->n_parts += read.n_parts;
        return 0;
    }
    *m = read;
    m->is_list = read.n_parts > 1;
    r->item_of[r->n++] = item->index;
    return 0;
}

static int read_call(struct reading *r, const struct item *item, struct err *err)
{
    struct chat_call call = {0};
    struct body_path at = body_path_member(item->at, "arguments");
    int rc = chat_value_name(r->arena, item->at, item->v, "call_id", &call.id, err);
    if (!rc)
        rc = chat_value_name(r->arena, item->at, item->v, "name", &call.name, err);
    if (!rc)
        rc = chat_messages_arguments(r->arena, &at, value_get(item->v, "arguments"),
                                     &call.arguments, err);
    if (rc)
        return rc;
    assistant(r, item)->n_calls++;
    *r->calls++ = call;
    return 0;
}

static int read_output(struct reading *r, const struct item *item, struct err *err)
{
    struct body_path at = body_path_member(item->at, "output");
    int rc = close_message(r, err);
    if (rc)
        return rc;
    struct chat_message *m = &r->messages[r->n];
    r->item_of[r->n++] = item->index;
    m->role = CHAT_TOOL;
    rc = chat_value_name(r->arena, item->at, item->v, "call_id", &m->tool_call_id, err);
    if (!rc)
        rc = chat_messages_content(r->arena, &at, value_get(item->v, "output"), m, err);
    m->is_list = m->n_parts > 1;
    return rc;
}

static void add_line(struct buf *text, const char *s, size_t len)
{
    if (text->len && len)
        buf_putc(text, '\n');
    buf_put(text, s, len);
}

/* The texts of `content` or `summary`, a line each. */
static int read_lines(struct reading *r, const struct item *item, const char *name,
                      struct err *err)
{
    const struct value *list = member(item->v, name);
    struct body_path at = body_path_member(item->at, name);
    if (list && value_kind(list) != VALUE_ARRAY)
        return body_path_wrong(err, &at, "a list of parts", list);
    const struct value *x = value_first(list);
    for (size_t i = 0; i < value_len(list); i++, x = value_next(x)) {
        struct body_path part = body_path_element(&at, i);
        struct body_path here = body_path_member(&part, "text");
        struct chat_text text;
        int rc = chat_value_text(r->arena, &here, value_get(x, "text"), &text, err);
        if (rc)
            return rc;
        add_line(&r->reasoning, text.text, text.len);
    }
    return 0;
}

/* What this server has written comes back as text. What another one has encrypted does
 * not: then *ours is false. */
static int read_encrypted(struct reading *r, const struct item *item,
                          const struct value *v, bool *ours, struct err *err)
{
    struct body_path at = body_path_member(item->at, "encrypted_content");
    struct chat_text digits;
    struct buf text = {0};
    int rc = chat_value_text(r->arena, &at, v, &digits, err);
    if (rc)
        return rc;
    *ours = base64_read(&text, digits.text, digits.len) &&
            utf8_valid(text.data ? text.data : "", text.len);
    if (*ours)
        add_line(&r->reasoning, text.data, text.len);
    if (text.failed)
        rc = err_no_memory(err);
    buf_free(&text);
    return rc;
}

static int read_reasoning(struct reading *r, const struct item *item, struct err *err)
{
    const struct value *encrypted = member(item->v, "encrypted_content");
    bool ours = false;
    assistant(r, item);
    if (value_len(member(item->v, "content")))
        return read_lines(r, item, "content", err);
    int rc = encrypted ? read_encrypted(r, item, encrypted, &ours, err) : 0;
    if (rc || ours)
        return rc;
    r->n_skipped += encrypted && value_len(member(item->v, "summary")) == 0;
    return read_lines(r, item, "summary", err);
}

static int refuse_reference(struct reading *r, const struct item *item, struct err *err)
{
    (void)r;
    return body_path_error(err, ERR_UNSUPPORTED, item->at,
                           "refers to an item of an earlier response, and this server "
                           "stores none: send the whole item, which clients do with "
                           "`store: false`");
}

/* ---- the list --------------------------------------------------------------- */

/* The reader of a type; NULL: a type that is skipped. */
static item_fn *reader_of(const struct value *type)
{
    static const struct {
        const char *type;
        item_fn *read;
    } readers[] = {{"message", read_message},
                   {"function_call", read_call},
                   {"function_call_output", read_output},
                   {"reasoning", read_reasoning},
                   {"item_reference", refuse_reference}};
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (value_is(type, readers[i].type))
            return readers[i].read;
    return NULL;
}

/* A message may come without a type, and so may a reference. */
static int read_item(struct reading *r, const struct item *item, struct err *err)
{
    const struct value *type = member(item->v, "type");
    struct body_path at = body_path_member(item->at, "type");
    if (value_kind(item->v) != VALUE_OBJECT)
        return body_path_wrong(err, item->at, "an item: an object", item->v);
    if (!type && !member(item->v, "role") && member(item->v, "id"))
        return refuse_reference(r, item, err);
    if (!type)
        return read_message(r, item, err);
    if (value_kind(type) != VALUE_STRING)
        return body_path_wrong(err, &at, "a string", type);
    item_fn *read = reader_of(type);
    if (read)
        return read(r, item, err);
    r->n_skipped++;
    return 0;
}

/* The texts of assistants at the most. */
static size_t count_parts(const struct value *list)
{
    size_t n = 0;
    const struct value *x = value_first(list);
    for (size_t i = 0; i < value_len(list); i++, x = value_next(x)) {
        const struct value *content = value_get(x, "content");
        n += value_kind(content) == VALUE_ARRAY ? value_len(content) : 1;
    }
    return n;
}

/* Every result has its call before it. */
static int check_results(const struct reading *r, const struct body_path *at,
                         struct err *err)
{
    size_t i;
    int rc = chat_messages_stray(r->messages, r->n, &i, err);
    if (rc || i == r->n)
        return rc;
    struct body_path item = body_path_element(at, r->item_of[i]);
    struct body_path id = body_path_member(&item, "call_id");
    return body_path_error(err, ERR_ARGUMENT, &id,
                           "is of no call before it: an output follows the item of type "
                           "\"function_call\" that has its `call_id`");
}

static int read_list(struct reading *r, const struct body_path *at,
                     const struct value *list, struct err *err)
{
    size_t n = value_len(list);
    r->messages = arena_zalloc(r->arena, n + 1, sizeof *r->messages);
    r->item_of = arena_zalloc(r->arena, n + 1, sizeof *r->item_of);
    r->parts = arena_zalloc(r->arena, count_parts(list) + 1, sizeof *r->parts);
    r->calls = arena_zalloc(r->arena, n + 1, sizeof *r->calls);
    if (!r->messages || !r->item_of || !r->parts || !r->calls)
        return err_no_memory(err);
    int rc = 0;
    const struct value *x = value_first(list);
    for (size_t i = 0; i < n && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        struct item item = {x, &here, i};
        rc = read_item(r, &item, err);
    }
    if (!rc)
        rc = close_message(r, err);
    return rc ? rc : check_results(r, at, err);
}

static int read_text(struct arena *arena, const struct body_path *at,
                     const struct value *input, struct chat *out, struct err *err)
{
    struct chat_message *m = arena_zalloc(arena, 1, sizeof *m);
    if (!m)
        return err_no_memory(err);
    m->role = CHAT_USER;
    out->messages = m;
    out->n_messages = 1;
    return chat_messages_content(arena, at, input, m, err);
}

int responses_input_read(struct arena *arena, const struct body_path *at,
                         const struct value *input, struct chat *out, size_t *n_skipped,
                         struct err *err)
{
    struct reading r = {.arena = arena};
    if (value_kind(input) == VALUE_STRING)
        return read_text(arena, at, input, out, err);
    if (value_kind(input) != VALUE_ARRAY)
        return body_path_wrong(err, at, "a text or a list of items", input);
    int rc = read_list(&r, at, input, err);
    buf_free(&r.reasoning);
    out->messages = r.messages;
    out->n_messages = r.n;
    *n_skipped += r.n_skipped;
    return rc;
}
