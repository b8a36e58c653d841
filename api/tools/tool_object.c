/* Reads the object once, noting its members; looks at its shape when it is whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_object.h"

#include <string.h>

bool tool_object_opens(char c)
{
    return c == '{';
}

enum tool_literal_status tool_object_run(struct tool_scan *s, struct tool_literal *l)
{
    enum tool_literal_status status = tool_literal_run(l, s->s, s->wall);
    s->at = l->at;
    if (status == TOOL_LITERAL_MORE && (s->final || s->wall < s->len))
        return TOOL_LITERAL_BROKEN;
    return status;
}

static void no_arguments(struct tool_scan *s)
{
    s->call.arguments = "{}";
    s->call.arguments_len = 2;
}

/* The arguments are in s->arguments, as text that may be an object. */
static bool held_object(struct tool_scan *s)
{
    const char *text = s->arguments.data ? s->arguments.data : "";
    size_t from = 0, end = s->arguments.len;
    while (from < end && tool_scan_blank(text[from]))
        from++;
    while (end > from && tool_scan_blank(text[end - 1]))
        end--;
    if (from == end)
        no_arguments(s);
    if (from == end)
        return true;
    s->call.arguments = text + from;
    s->call.arguments_len = end - from;
    return tool_literal_kind(text + from, end - from, NULL) == TOOL_KIND_OBJECT;
}

/* Arguments as written: an object, or a string that holds one; false: anything else. */
static bool put_arguments(struct tool_scan *s, enum tool_kind kind, struct tool_span span)
{
    if (kind == TOOL_KIND_NONE || kind == TOOL_KIND_NULL) {
        no_arguments(s);
        return true;
    }
    if (kind == TOOL_KIND_STRING) {
        tool_literal_text(&s->arguments, s->s + span.at, span.end - span.at);
        return held_object(s);
    }
    s->call.arguments = s->s + span.at;
    s->call.arguments_len = span.end - span.at;
    return kind == TOOL_KIND_OBJECT;
}

static bool is_key(const struct tool_scan *s, const char *name)
{
    struct tool_span key = s->object.literal.key;
    size_t len = strlen(name);
    return key.end - key.at == len + 2 && memcmp(s->s + key.at + 1, name, len) == 0;
}

/* A brace that begins the content is a call's only if its first member may be; what is
 * JSON without a name is no failed call. */
static bool check_first(struct tool_scan *s)
{
    static const char *const keys[] = {"arguments", "parameters", "type", "id"};
    if (!s->object.first || s->object.literal.key.end == 0)
        return true;
    s->object.first = false;
    s->quiet = s->quiet && !is_key(s, "name");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (is_key(s, keys[i]))
            return true;
    return s->mark || is_key(s, "name");
}

static void note_member(struct tool_scan *s)
{
    struct tool_object *o = &s->object;
    const struct tool_literal *l = &o->literal;
    bool arguments = is_key(s, "arguments");
    if (is_key(s, "name")) {
        o->name = l->value;
        o->name_kind = l->value_kind;
        s->quiet = false;
    } else if (arguments || (is_key(s, "parameters") && !o->has_arguments)) {
        o->arguments = l->value;
        o->arguments_kind = l->value_kind;
        o->has_arguments = arguments;
    }
}

/* The object is whole. */
static enum tool_step judge(struct tool_scan *s)
{
    struct tool_object *o = &s->object;
    if (o->name_kind != TOOL_KIND_STRING || o->name.end - o->name.at < 3)
        return TOOL_BROKEN;
    tool_literal_text(&s->name, s->s + o->name.at, o->name.end - o->name.at);
    s->call.name = s->name.data;
    s->call.name_len = s->name.len;
    if (!put_arguments(s, o->arguments_kind, o->arguments))
        return TOOL_BROKEN;
    s->phase = s->form->behind;
    return TOOL_CALL;
}

static enum tool_step read_object(struct tool_scan *s)
{
    enum tool_literal_status status;
    while ((status = tool_object_run(s, &s->object.literal)) == TOOL_LITERAL_MEMBER) {
        if (!check_first(s))
            return TOOL_BROKEN;
        note_member(s);
    }
    if (!check_first(s) || status == TOOL_LITERAL_BROKEN)
        return TOOL_BROKEN;
    return status == TOOL_LITERAL_DONE ? judge(s) : TOOL_MORE;
}

enum tool_step tool_object_unit(struct tool_scan *s)
{
    struct tool_object *o = &s->object;
    o->name = o->arguments = (struct tool_span){0};
    o->name_kind = o->arguments_kind = TOOL_KIND_NONE;
    o->first = true;
    o->has_arguments = false;
    tool_literal_begin(&o->literal, s->at, NULL);
    s->phase = read_object;
    return TOOL_NEXT;
}
