/* Normalising, message by message: role, content, calls, and the text of several messages
 * as one with the marks of each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_variables.h"

#include "api/body.h"
#include "api/chat_calls.h"
#include "api/chat_value.h"
#include "engine/base/map.h"

#include <string.h>

/* What one conversation is made with. A failed allocation is remembered. */
struct maker {
    struct arena *arena;
    const struct chat *chat;
    const struct chat_traits *traits;
    struct strmap calls; /* id -> index of the name in `names` */
    const struct chat_text **names;
    size_t n_names;
    bool failed;
};

static const char *const roles[CHAT_ROLES] = {[CHAT_SYSTEM] = "system",
                                              [CHAT_DEVELOPER] = "developer",
                                              [CHAT_USER] = "user",
                                              [CHAT_ASSISTANT] = "assistant",
                                              [CHAT_TOOL] = "tool"};

/* ---- values ------------------------------------------------------------------- */

static struct jinja_value text_of(struct maker *m, const char *text, size_t len,
                                  uint16_t mark)
{
    struct jinja_value v = jinja_text(m->arena, text, len, mark);
    m->failed = m->failed || v.kind != JINJA_STRING;
    return v;
}

static struct jinja_value word(struct maker *m, const char *text)
{
    return text_of(m, text, strlen(text), 0);
}

static struct jinja_value new_list(struct maker *m)
{
    struct jinja_value v = jinja_list(m->arena);
    m->failed = m->failed || v.kind != JINJA_LIST;
    return v;
}

static struct jinja_value new_dict(struct maker *m)
{
    struct jinja_value v = jinja_dict(m->arena);
    m->failed = m->failed || v.kind != JINJA_DICT;
    return v;
}

static void append(struct maker *m, struct jinja_value list, struct jinja_value v)
{
    if (!m->failed && !jinja_list_add(m->arena, list.list, v))
        m->failed = true;
}

static void set(struct maker *m, struct jinja_value dict, const char *name,
                struct jinja_value v)
{
    if (!m->failed && !jinja_dict_set(m->arena, dict.dict, name, v))
        m->failed = true;
}

static void set_text(struct maker *m, struct jinja_value dict, const char *name,
                     const struct chat_text *text, uint16_t mark)
{
    if (text->text)
        set(m, dict, name, text_of(m, text->text, text->len, mark));
}

/* ---- content ------------------------------------------------------------------ */

static uint16_t mark_of(const struct maker *m, size_t i)
{
    return jinja_mark(i, m->chat->messages[i].role == CHAT_ASSISTANT);
}

/* A text with marks, as it grows. */
struct joined {
    char *text;
    uint16_t *marks;
    size_t len;
};

static void join(struct joined *j, const char *text, size_t len, uint16_t mark)
{
    memcpy(j->text + j->len, text, len);
    for (size_t i = 0; i < len; i++)
        j->marks[j->len + i] = mark;
    j->len += len;
}

static bool has_text(const struct chat_message *msg)
{
    for (size_t k = 0; k < msg->n_parts; k++)
        if (msg->parts[k].len)
            return true;
    return false;
}

/* The parts of one message, by newlines, behind what is there by a blank line. */
static void join_message(struct joined *j, const struct chat_message *msg, uint16_t mark)
{
    if (j->len && has_text(msg))
        join(j, "\n\n", 2, 0);
    for (size_t k = 0; k < msg->n_parts; k++) {
        if (k)
            join(j, "\n", 1, mark);
        join(j, msg->parts[k].text, msg->parts[k].len, mark);
    }
}

static size_t message_bytes(const struct chat_message *msg)
{
    size_t n = msg->n_parts;
    for (size_t k = 0; k < msg->n_parts; k++)
        n += msg->parts[k].len;
    return n;
}

/* The text of messages [first, end), those that have one, by blank lines. */
static struct jinja_value joined_text(struct maker *m, size_t first, size_t end)
{
    size_t cap = 1;
    for (size_t i = first; i < end; i++)
        cap += message_bytes(&m->chat->messages[i]) + 2;
    struct jinja_string *s = arena_zalloc(m->arena, 1, sizeof *s);
    struct joined j = {arena_alloc(m->arena, cap),
                       arena_alloc(m->arena, cap * sizeof *j.marks), 0};
    m->failed = m->failed || !s || !j.text || !j.marks;
    if (m->failed)
        return jinja_none();
    for (size_t i = first; i < end; i++)
        join_message(&j, &m->chat->messages[i], mark_of(m, i));
    *s = (struct jinja_string){.text = j.text, .len = j.len, .marks = j.marks};
    return (struct jinja_value){.kind = JINJA_STRING, .string = s};
}

/* One part borrows the client's text; several are joined. */
static struct jinja_value plain_text(struct maker *m, size_t first, size_t end)
{
    const struct chat_message *msg = &m->chat->messages[first];
    if (end - first > 1 || msg->n_parts > 1)
        return joined_text(m, first, end);
    if (msg->n_parts == 0)
        return word(m, "");
    return text_of(m, msg->parts[0].text, msg->parts[0].len, mark_of(m, first));
}

/* A template that shows no calls has them in the content. */
static struct jinja_value with_calls(struct maker *m, struct jinja_value text, size_t i)
{
    const struct chat_message *msg = &m->chat->messages[i];
    enum tool_format format = m->traits->format;
    if (m->failed || msg->n_calls == 0 || m->traits->calls || !chat_calls_known(format))
        return text;
    text = chat_calls_write(m->arena, format, text.string, msg, mark_of(m, i));
    m->failed = text.kind == JINJA_UNDEFINED;
    return text;
}

static void append_part(struct maker *m, struct jinja_value list, struct jinja_value text)
{
    struct jinja_value part = new_dict(m);
    set(m, part, "type", word(m, "text"));
    set(m, part, "text", text);
    append(m, list, part);
}

static struct jinja_value listed_parts(struct maker *m, size_t i)
{
    const struct chat_message *msg = &m->chat->messages[i];
    struct jinja_value list = new_list(m);
    for (size_t k = 0; k < msg->n_parts; k++)
        append_part(m, list,
                    text_of(m, msg->parts[k].text, msg->parts[k].len, mark_of(m, i)));
    return list;
}

/* Of messages [first, end), as a message of that role. */
static struct jinja_value content(struct maker *m, enum chat_role role, size_t first,
                                  size_t end)
{
    bool stays = role == CHAT_USER || role == CHAT_ASSISTANT;
    if (stays && m->traits->parts[role] && m->chat->messages[first].is_list)
        return listed_parts(m, first);
    struct jinja_value text = with_calls(m, plain_text(m, first, end), first);
    if (!m->traits->one_part[role])
        return text;
    struct jinja_value list = new_list(m);
    append_part(m, list, text);
    return list;
}

/* ---- calls -------------------------------------------------------------------- */

static bool every_name(const void *arg, const struct value *name)
{
    (void)arg;
    (void)name;
    return true;
}

static int parse_object(struct maker *m, const struct chat_text *text, uint16_t mark,
                        struct jinja_value *out)
{
    struct body b;
    struct body_path at = body_path_member(NULL, "arguments");
    int rc = body_parse(&b, text->text, text->len, every_name, NULL, NULL);
    if (rc)
        return rc;
    rc = chat_value_read(m->arena, &at, b.values, mark, out, NULL);
    body_free(&b);
    return rc;
}

/* The object that the text is, or the text. Blanks are a call without any. */
static struct jinja_value arguments(struct maker *m, const struct chat_text *sent,
                                    uint16_t mark)
{
    static const struct chat_text none = {"{}", 2};
    bool blank = !sent->text || strspn(sent->text, " \t\r\n") == sent->len;
    const struct chat_text *text = blank ? &none : sent;
    struct jinja_value object;
    int rc = m->traits->objects ? parse_object(m, text, mark, &object) : -ERR_ARGUMENT;
    m->failed = m->failed || rc == -ERR_MEMORY;
    return rc == 0 ? object : text_of(m, text->text, text->len, mark);
}

/* The call's name is remembered for its result. */
static void note_name(struct maker *m, const struct chat_call *call)
{
    if (m->failed || call->id.len == 0)
        return;
    m->names[m->n_names] = &call->name;
    if (!strmap_put(&m->calls, call->id.text, call->id.len, (int32_t)m->n_names++))
        m->failed = true;
}

static struct jinja_value call(struct maker *m, const struct chat_call *c, uint16_t mark)
{
    struct jinja_value whole = new_dict(m), function = new_dict(m);
    set_text(m, function, "name", &c->name, mark);
    set(m, function, "arguments", arguments(m, &c->arguments, mark));
    set_text(m, whole, "id", &c->id, mark);
    set(m, whole, "type", word(m, "function"));
    set(m, whole, "function", function);
    note_name(m, c);
    return whole;
}

static void set_calls(struct maker *m, struct jinja_value message, size_t i)
{
    const struct chat_message *msg = &m->chat->messages[i];
    if (msg->n_calls == 0)
        return;
    struct jinja_value list = new_list(m);
    for (size_t k = 0; k < msg->n_calls; k++)
        append(m, list, call(m, &msg->calls[k], mark_of(m, i)));
    set(m, message, "tool_calls", list);
}

/* ---- messages ----------------------------------------------------------------- */

/* A result has the name of its call where the client left it out. */
static const struct chat_text *name_of(const struct maker *m,
                                       const struct chat_message *msg)
{
    if (msg->name.text || msg->tool_call_id.len == 0)
        return &msg->name;
    int32_t at = strmap_get(&m->calls, msg->tool_call_id.text, msg->tool_call_id.len, -1);
    return at < 0 ? &msg->name : m->names[at];
}

/* As the template knows it. */
static enum chat_role known_role(const struct maker *m, size_t i)
{
    enum chat_role role = m->chat->messages[i].role;
    bool known = m->traits->developer && (i == 0 || m->traits->late_developer);
    return role == CHAT_DEVELOPER && !known ? CHAT_SYSTEM : role;
}

static struct jinja_value message(struct maker *m, enum chat_role role, size_t first,
                                  size_t end)
{
    const struct chat_message *msg = &m->chat->messages[first];
    uint16_t mark = mark_of(m, first);
    struct jinja_value out = new_dict(m);
    set(m, out, "role", word(m, roles[role]));
    set(m, out, "content", content(m, role, first, end));
    set_text(m, out, m->traits->reasoning, &msg->reasoning, mark);
    set_calls(m, out, first);
    set_text(m, out, "tool_call_id", &msg->tool_call_id, mark);
    set_text(m, out, "name", name_of(m, msg), mark);
    return out;
}

static struct jinja_value messages(struct maker *m)
{
    struct jinja_value list = new_list(m);
    size_t n = m->chat->n_messages, leading = 0;
    while (leading < n && known_role(m, leading) == CHAT_SYSTEM)
        leading++;
    if (leading)
        append(m, list, message(m, CHAT_SYSTEM, 0, leading));
    for (size_t i = leading; i < n && !m->failed; i++) {
        enum chat_role role = known_role(m, i);
        if (role == CHAT_SYSTEM && !m->traits->late_system)
            role = CHAT_USER;
        append(m, list, message(m, role, i, i + 1));
    }
    return list;
}

static void merge(struct maker *m, struct jinja_value into, struct jinja_value kwargs)
{
    size_t n = kwargs.kind == JINJA_DICT ? jinja_dict_len(kwargs.dict) : 0;
    for (size_t i = 0; i < n && !m->failed; i++) {
        const struct jinja_entry *e = jinja_dict_at(kwargs.dict, i);
        m->failed = !jinja_dict_put(m->arena, into.dict, e->key, e->value);
    }
}

static bool begin(struct maker *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->chat->n_messages; i++)
        n += m->chat->messages[i].n_calls;
    m->names = arena_zalloc(m->arena, n + 1, sizeof *m->names);
    return m->names && strmap_init(&m->calls, n);
}

int chat_variables_make(struct arena *arena, const struct chat *chat,
                        const struct chat_traits *traits,
                        const struct chat_tokens *tokens, struct jinja_value *out,
                        struct err *err)
{
    struct maker m = {.arena = arena, .chat = chat, .traits = traits};
    m.failed = !begin(&m);
    *out = new_dict(&m);
    if (!m.failed) {
        merge(&m, *out, chat->kwargs);
        set(&m, *out, "messages", messages(&m));
        set(&m, *out, "tools",
            chat->tools.kind == JINJA_LIST ? chat->tools : jinja_none());
        set(&m, *out, "documents", jinja_none());
        set_text(&m, *out, "bos_token", &tokens->bos, 0);
        set_text(&m, *out, "eos_token", &tokens->eos, 0);
    }
    strmap_free(&m.calls);
    return m.failed ? err_set(err, ERR_MEMORY, "out of memory for a conversation") : 0;
}
