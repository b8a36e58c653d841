/* One reader for each type of block. The turn that is open gathers its texts and calls as
 * runs of two arrays that all turns share; results pass it and are messages at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/messages_input.h"

#include "api/base64.h"
#include "api/chat_messages.h"
#include "api/chat_value.h"
#include "engine/base/utf8.h"

#include <string.h>

/* Where a message of the chat comes from. */
struct origin {
    size_t message, block;
};

struct reading {
    struct arena *arena;
    struct chat_message *messages; /* [n] */
    struct origin *origins;        /* [n] */
    size_t n;
    struct chat_message turn; /* the open one */
    bool open, has_results;   /* there is one; with results */
    struct buf reasoning;     /* of the turn */
    struct chat_text *parts;  /* the next one that is free */
    struct chat_call *calls;  /* the next one that is free */
    struct origin here;       /* the block under way */
    size_t n_skipped;
};

/* A block and its place. */
struct block {
    const struct value *v;
    const struct body_path *at;
};

typedef int block_fn(struct reading *r, const struct block *b, struct err *err);

/* ---- turns -------------------------------------------------------------------- */

static void push(struct reading *r, const struct chat_message *m)
{
    r->origins[r->n] = r->here;
    r->messages[r->n++] = *m;
}

static bool take_reasoning(struct reading *r)
{
    struct chat_text *t = &r->turn.reasoning;
    if (r->reasoning.failed)
        return false;
    if (r->reasoning.len == 0)
        return true;
    t->text = arena_strdup(r->arena, r->reasoning.data, r->reasoning.len);
    t->len = r->reasoning.len;
    buf_reset(&r->reasoning);
    return t->text != NULL;
}

/* A user's turn of results alone is no message besides theirs. */
static int close_turn(struct reading *r, struct err *err)
{
    if (!r->open)
        return 0;
    r->open = false;
    r->turn.is_list = r->turn.n_parts > 1;
    if (!take_reasoning(r))
        return err_no_memory(err);
    if (r->turn.n_parts > 0 || !r->has_results)
        push(r, &r->turn);
    return 0;
}

static int open_turn(struct reading *r, enum chat_role role, struct err *err)
{
    if (r->open && r->turn.role == role)
        return 0;
    int rc = close_turn(r, err);
    r->turn = (struct chat_message){.role = role, .parts = r->parts, .calls = r->calls};
    r->open = true;
    r->has_results = false;
    return rc;
}

/* ---- blocks ------------------------------------------------------------------- */

static int read_text(struct reading *r, const struct block *b, struct err *err)
{
    int rc =
        chat_messages_part(r->arena, b->at, b->v, r->parts, &r->turn.breakpoint, err);
    if (rc)
        return rc;
    r->parts++;
    r->turn.n_parts++;
    return 0;
}

static int read_call(struct reading *r, const struct block *b, struct err *err)
{
    struct body_path at = body_path_member(b->at, "input");
    const struct value *input = value_get(b->v, "input");
    int rc = chat_value_name(r->arena, b->at, b->v, "id", &r->calls->id, err);
    if (!rc)
        rc = chat_value_name(r->arena, b->at, b->v, "name", &r->calls->name, err);
    if (!rc && value_kind(input) != VALUE_OBJECT)
        rc = body_path_wrong(err, &at, "an object", input);
    if (!rc)
        rc = chat_value_json(r->arena, &at, input, &r->calls->arguments, err);
    if (rc)
        return rc;
    r->calls++;
    r->turn.n_calls++;
    return chat_messages_mark(b->at, b->v, &r->turn.breakpoint, err);
}

/* Templates have no place for is_error, so it shows only where nothing else does. */
static int read_is_error(const struct block *b, struct chat_message *m, struct err *err)
{
    static const struct chat_text failed = {"error", 5};
    const struct value *v = value_get(b->v, "is_error");
    struct body_path at = body_path_member(b->at, "is_error");
    if (value_kind(v) > VALUE_NULL && value_kind(v) != VALUE_BOOL)
        return body_path_wrong(err, &at, "true or false", v);
    if (value_bool(v) && m->n_parts == 0) {
        m->parts = &failed;
        m->n_parts = 1;
    }
    return 0;
}

static int read_result(struct reading *r, const struct block *b, struct err *err)
{
    struct chat_message m = {.role = CHAT_TOOL};
    struct body_path at = body_path_member(b->at, "content");
    int rc = chat_value_name(r->arena, b->at, b->v, "tool_use_id", &m.tool_call_id, err);
    if (!rc)
        rc = chat_messages_content(r->arena, &at, value_get(b->v, "content"), &m, err);
    if (!rc)
        rc = read_is_error(b, &m, err);
    if (!rc)
        rc = chat_messages_mark(b->at, b->v, &m.breakpoint, err);
    m.is_list = m.n_parts > 1;
    r->has_results = true;
    push(r, &m);
    return rc;
}

static void add_reasoning(struct reading *r, const char *s, size_t len)
{
    if (r->reasoning.len && len)
        buf_putc(&r->reasoning, '\n');
    buf_put(&r->reasoning, s, len);
}

/* Reasoning whose text was left out is in the signature, if that is ours. */
static int read_signature(struct reading *r, const struct block *b, struct err *err)
{
    static const char ours[] = MESSAGES_INPUT_SIGNATURE;
    const struct value *v = value_get(b->v, "signature");
    struct body_path at = body_path_member(b->at, "signature");
    size_t skip = sizeof ours - 1;
    struct chat_text s;
    struct buf text = {0};
    int rc = chat_value_text(r->arena, &at, v, &s, err);
    if (rc)
        return rc;
    if (s.len >= skip && memcmp(s.text, ours, skip) == 0 &&
        base64_read(&text, s.text + skip, s.len - skip) &&
        utf8_valid(text.data ? text.data : "", text.len))
        add_reasoning(r, text.data ? text.data : "", text.len);
    else
        r->n_skipped++;
    r->reasoning.failed = r->reasoning.failed || text.failed;
    buf_free(&text);
    return 0;
}

static int read_thinking(struct reading *r, const struct block *b, struct err *err)
{
    struct body_path at = body_path_member(b->at, "thinking");
    const struct value *signature = value_get(b->v, "signature");
    struct chat_text t;
    int rc = chat_value_text(r->arena, &at, value_get(b->v, "thinking"), &t, err);
    if (rc)
        return rc;
    add_reasoning(r, t.text, t.len);
    bool omitted = t.len == 0 && value_kind(signature) > VALUE_NULL;
    return omitted ? read_signature(r, b, err) : 0;
}

static int skip_block(struct reading *r, const struct block *b, struct err *err)
{
    (void)b;
    (void)err;
    r->n_skipped++;
    return 0;
}

static int refuse_block(struct reading *r, const struct block *b, struct err *err)
{
    struct body_path at = body_path_member(b->at, "type");
    (void)r;
    return body_path_error(err, ERR_UNSUPPORTED, &at,
                           "is no block that the message may have here: the model takes "
                           "text only, no images or documents");
}

/* ---- types of blocks ---------------------------------------------------------- */

struct block_type {
    const char *type; /* NULL: the end of a table, and of its other types */
    block_fn *read;
};

static const struct block_type system_blocks[] = {{"text", read_text},
                                                  {NULL, refuse_block}};
static const struct block_type user_blocks[] = {
    {"text", read_text}, {"tool_result", read_result}, {NULL, refuse_block}};

/* Tools that run in a server are not here, so what they did cannot be shown. */
static const struct block_type assistant_blocks[] = {
    {"text", read_text},
    {"tool_use", read_call},
    {"thinking", read_thinking},
    {"redacted_thinking", skip_block},
    {"server_tool_use", skip_block},
    {"mcp_tool_use", skip_block},
    {"mcp_tool_result", skip_block},
    {"web_search_tool_result", skip_block},
    {"web_fetch_tool_result", skip_block},
    {"code_execution_tool_result", skip_block},
    {"bash_code_execution_tool_result", skip_block},
    {"text_editor_code_execution_tool_result", skip_block},
    {"tool_search_tool_result", skip_block},
    {NULL, refuse_block}};

static int read_block(struct reading *r, const struct block_type *types,
                      const struct block *b, struct err *err)
{
    const struct value *type = value_get(b->v, "type");
    struct body_path at = body_path_member(b->at, "type");
    if (value_kind(b->v) != VALUE_OBJECT)
        return body_path_wrong(err, b->at, "an object with a `type`", b->v);
    if (value_kind(type) != VALUE_STRING)
        return body_path_wrong(err, &at, "a string", type);
    while (types->type && !value_is(type, types->type))
        types++;
    return types->read(r, b, err);
}

/* A string is one text. */
static int read_content(struct reading *r, const struct block_type *types,
                        const struct body_path *at, const struct value *v,
                        struct err *err)
{
    int rc = 0;
    if (value_kind(v) == VALUE_STRING) {
        rc = chat_value_text(r->arena, at, v, r->parts++, err);
        r->turn.n_parts++;
        return rc;
    }
    if (value_kind(v) != VALUE_ARRAY)
        return body_path_wrong(err, at, "a string or a list of blocks", v);
    const struct value *x = value_first(v);
    for (size_t i = 0; i < value_len(v) && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        struct block b = {x, &here};
        r->here.block = i;
        rc = read_block(r, types, &b, err);
    }
    return rc;
}

/* ---- messages ----------------------------------------------------------------- */

struct role {
    const char *name;
    enum chat_role role;
    const struct block_type *types;
};

static const struct role roles[] = {{"user", CHAT_USER, user_blocks},
                                    {"assistant", CHAT_ASSISTANT, assistant_blocks},
                                    {"system", CHAT_SYSTEM, system_blocks}};
enum { N_ROLES = sizeof roles / sizeof *roles };

static const struct role *role_of(const struct value *v)
{
    size_t i = 0;
    while (i < N_ROLES && !value_is(v, roles[i].name))
        i++;
    return i < N_ROLES ? &roles[i] : NULL;
}

static int read_message(struct reading *r, const struct body_path *at,
                        const struct value *v, struct err *err)
{
    const struct value *name = value_get(v, "role");
    struct body_path role_at = body_path_member(at, "role");
    struct body_path content_at = body_path_member(at, "content");
    if (value_kind(v) != VALUE_OBJECT)
        return body_path_wrong(err, at, "an object with `role` and `content`", v);
    if (value_kind(name) != VALUE_STRING)
        return body_path_wrong(err, &role_at, "a string", name);
    const struct role *role = role_of(name);
    if (!role)
        return body_path_word(err, ERR_ARGUMENT, &role_at, name,
                              "\"user\", \"assistant\" or \"system\"", NULL);
    int rc = open_turn(r, role->role, err);
    return rc ? rc
              : read_content(r, role->types, &content_at, value_get(v, "content"), err);
}

/* How many of what a list can become, at the most. */
struct counts {
    size_t messages, parts, calls;
};

static void count_blocks(struct counts *n, const struct value *content)
{
    const struct value *x = value_first(content);
    if (value_kind(content) != VALUE_ARRAY)
        return;
    for (size_t i = 0; i < value_len(content); i++, x = value_next(x)) {
        const struct value *type = value_get(x, "type");
        n->parts += value_is(type, "text");
        n->messages += value_is(type, "tool_result");
        n->calls += value_is(type, "tool_use");
    }
}

static struct counts count(const struct value *list)
{
    struct counts n = {
        .messages = value_len(list) + 1, .parts = value_len(list) + 1, .calls = 1};
    const struct value *x = value_first(list);
    for (size_t i = 0; i < value_len(list); i++, x = value_next(x))
        count_blocks(&n, value_get(x, "content"));
    return n;
}

static bool make_room(struct reading *r, const struct counts *n)
{
    r->messages = arena_zalloc(r->arena, n->messages, sizeof *r->messages);
    r->origins = arena_zalloc(r->arena, n->messages, sizeof *r->origins);
    r->parts = arena_zalloc(r->arena, n->parts, sizeof *r->parts);
    r->calls = arena_zalloc(r->arena, n->calls, sizeof *r->calls);
    return r->messages && r->origins && r->parts && r->calls;
}

static int read_list(struct reading *r, const struct body_path *at,
                     const struct value *list, struct err *err)
{
    int rc = 0;
    const struct value *x = value_first(list);
    for (size_t i = 0; i < value_len(list) && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        r->here = (struct origin){i, 0};
        rc = read_message(r, &here, x, err);
    }
    return rc ? rc : close_turn(r, err);
}

/* Every result has its call before it. */
static int check_results(const struct reading *r, const struct body_path *at,
                         struct err *err)
{
    size_t i;
    int rc = chat_messages_stray(r->messages, r->n, &i, err);
    if (rc || i == r->n)
        return rc;
    struct body_path message = body_path_element(at, r->origins[i].message);
    struct body_path content = body_path_member(&message, "content");
    struct body_path block = body_path_element(&content, r->origins[i].block);
    struct body_path id = body_path_member(&block, "tool_use_id");
    return body_path_error(err, ERR_ARGUMENT, &id,
                           "is of no call before it: a tool result follows an assistant "
                           "message that has a `tool_use` block with its id");
}

/* The last turn is what an answer follows. */
static int check_last(const struct reading *r, const struct body_path *at, size_t n,
                      struct err *err)
{
    struct body_path last = body_path_element(at, n - 1);
    if (r->messages[r->n - 1].role != CHAT_ASSISTANT)
        return 0;
    return body_path_error(err, ERR_UNSUPPORTED, &last,
                           "is the assistant's: an answer begins a message of its own "
                           "here and cannot continue one; end with a user message");
}

int messages_input_read(struct arena *arena, const struct body_path *at,
                        const struct value *list, struct chat *out, size_t *n_skipped,
                        struct err *err)
{
    struct reading r = {.arena = arena};
    if (value_kind(list) != VALUE_ARRAY)
        return body_path_wrong(err, at, "a list of messages", list);
    if (value_len(list) == 0)
        return body_path_error(err, ERR_ARGUMENT, at, "must not be empty");
    struct counts n = count(list);
    int rc = make_room(&r, &n) ? read_list(&r, at, list, err) : err_no_memory(err);
    buf_free(&r.reasoning);
    if (!rc)
        rc = check_results(&r, at, err);
    if (!rc)
        rc = check_last(&r, at, value_len(list), err);
    out->messages = r.messages;
    out->n_messages = r.n;
    *n_skipped += r.n_skipped;
    return rc;
}

int messages_input_system(struct arena *arena, const struct body_path *at,
                          const struct value *v, struct chat_message *out,
                          struct err *err)
{
    struct reading r = {.arena = arena};
    size_t n = value_kind(v) == VALUE_ARRAY ? value_len(v) : 1;
    r.turn = (struct chat_message){.role = CHAT_SYSTEM};
    r.parts = arena_zalloc(arena, n + 1, sizeof *r.parts);
    r.turn.parts = r.parts;
    int rc = r.parts ? read_content(&r, system_blocks, at, v, err) : err_no_memory(err);
    r.turn.is_list = r.turn.n_parts > 1;
    *out = r.turn;
    return rc;
}
