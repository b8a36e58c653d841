/*
 * qwen3_coder: <function=NAME>, <parameter=KEY> value </parameter> each, </function>, in
 * <tool_call> … </tool_call> or not. Values are text up to their end mark; what the tool's
 * schema says of a parameter makes JSON of it, where it is spelled as JSON or Python.
 *
 * The subtle point: a value may hold start marks, and each is tried if the call around it
 * breaks. Behind its first value such an inner call reads what the outer one read, and
 * must break where that did: `memo` spares the second reading.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/tools/tool_form.h"

#include <string.h>

static const char function[] = "<function=", parameter[] = "<parameter=";
static const char end_call[] = "</tool_call>";
static const char end_parameter[] = "</parameter>", end_function[] = "</function>";

static enum tool_step between(struct tool_scan *s);

static enum tool_step fail(struct tool_scan *s)
{
    if (s->args.n && s->memo.broken_at < s->at)
        s->memo.broken_at = s->at;
    return TOOL_BROKEN;
}

/* ---- values --------------------------------------------------------------------------- */

static unsigned declared(const struct tool_scan *s, struct tool_span name)
{
    struct tool_span of = s->object.name;
    const struct tool_spec *tool = tool_scan_spec(s, s->s + of.at, of.end - of.at);
    size_t len = name.end - name.at;
    for (size_t i = 0; tool && i < tool->n_params; i++) {
        const struct tool_param *p = &tool->params[i];
        if (p->name_len == len && memcmp(p->name, s->s + name.at, len) == 0)
            return p->types;
    }
    return 0;
}

/* 5.0 is an integer for JSON schema. */
static bool integral(const char *s, size_t len)
{
    const char *point = memchr(s, '.', len);
    for (const char *at = point ? point + 1 : s; at < s + len; at++)
        if (*at != '0' && !tool_scan_blank(*at))
            return false;
    return point != NULL;
}

/* Where no type is declared, a scalar is text, as for the models' makers; an object or
 * a list is none, for its schema may be a reference. */
static bool fits(unsigned types, enum tool_kind kind, const char *s, size_t len)
{
    static const unsigned of_kind[] = {
        [TOOL_KIND_OBJECT] = TOOL_OBJECT,
        [TOOL_KIND_ARRAY] = TOOL_ARRAY,
        [TOOL_KIND_INTEGER] = TOOL_INTEGER | TOOL_NUMBER,
        [TOOL_KIND_REAL] = TOOL_NUMBER,
        [TOOL_KIND_BOOLEAN] = TOOL_BOOLEAN,
        [TOOL_KIND_NULL] = TOOL_NULL,
    };
    if (types == 0)
        types = TOOL_OBJECT | TOOL_ARRAY | TOOL_NULL;
    if (kind == TOOL_KIND_REAL && integral(s, len))
        types |= types & TOOL_INTEGER ? TOOL_NUMBER : 0;
    return kind != TOOL_KIND_NONE && kind != TOOL_KIND_STRING && (types & of_kind[kind]);
}

static void put_value(struct buf *out, unsigned types, const char *s, size_t len)
{
    size_t mark = out->len;
    if (types != TOOL_STRING && fits(types, tool_literal_kind(s, len, NULL), s, len)) {
        buf_put(out, s, len);
        return;
    }
    if (types != TOOL_STRING && fits(types, tool_literal_kind(s, len, out), s, len))
        return;
    out->len = mark;
    buf_json_string(out, s, len);
}

static void add_argument(struct tool_scan *s, struct tool_span name,
                         struct tool_span value)
{
    struct buf *out = tool_args_add(&s->args, s->s + name.at, name.end - name.at);
    if (value.at < value.end && s->s[value.at] == '\n')
        value.at++;
    if (value.at < value.end && s->s[value.end - 1] == '\n')
        value.end--;
    put_value(out, declared(s, name), s->s + value.at, value.end - value.at);
}

/* ---- phases --------------------------------------------------------------------------- */

/* Looks for the end of a value from s->at on, but not where it was looked for before. */
static const char *find_end(struct tool_scan *s)
{
    struct tool_memo *memo = &s->memo;
    size_t from = s->at, len = sizeof end_parameter - 1;
    if (from >= memo->from && from <= memo->to)
        s->at = memo->to;
    else
        memo->from = from;
    const char *found = s->at < s->wall
                            ? memmem(s->s + s->at, s->wall - s->at, end_parameter, len)
                            : NULL;
    if (found)
        s->at = (size_t)(found - s->s);
    else if (s->at + len <= s->wall)
        s->at = s->wall - len + 1;
    memo->to = s->at;
    return found;
}

static enum tool_step read_value(struct tool_scan *s)
{
    struct tool_span value = s->object.literal.value;
    if (!find_end(s)) {
        if (s->wall == s->len && !s->final)
            return TOOL_MORE;
        s->at = s->wall;
        return fail(s);
    }
    value.end = s->at;
    if (!s->args.n && s->at < s->memo.broken_at)
        return TOOL_BROKEN;
    add_argument(s, s->object.arguments, value);
    s->at += sizeof end_parameter - 1;
    s->phase = between;
    return TOOL_NEXT;
}

/* Reads what stands before `>`: MATCH; blanks around it do not count. */
static enum tool_match read_name(struct tool_scan *s, struct tool_span *name)
{
    while (s->at < s->wall && s->s[s->at] != '>' && s->s[s->at] != '<' &&
           s->s[s->at] != '\n')
        s->at++;
    if (s->at == s->len && !s->final)
        return TOOL_PARTIAL;
    if (s->at >= s->wall || s->s[s->at] != '>')
        return TOOL_DIFFERENT;
    name->end = s->at++;
    while (name->end > name->at && tool_scan_blank(s->s[name->end - 1]))
        name->end--;
    while (name->at < name->end && tool_scan_blank(s->s[name->at]))
        name->at++;
    return name->at < name->end ? TOOL_MATCH : TOOL_DIFFERENT;
}

static enum tool_step parameter_name(struct tool_scan *s)
{
    enum tool_match m = read_name(s, &s->object.arguments);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : fail(s);
    s->object.literal.value.at = s->at;
    s->phase = read_value;
    return TOOL_NEXT;
}

static enum tool_step behind(struct tool_scan *s);

static enum tool_step finish(struct tool_scan *s)
{
    if (!tool_args_write(&s->args, &s->arguments))
        s->arguments.failed = true;
    s->call.name = s->s + s->object.name.at;
    s->call.name_len = s->object.name.end - s->object.name.at;
    s->call.arguments = s->arguments.data;
    s->call.arguments_len = s->arguments.len;
    s->phase = behind;
    return TOOL_CALL;
}

static enum tool_step between(struct tool_scan *s)
{
    if (tool_scan_blanks(s) == TOOL_PARTIAL)
        return TOOL_MORE;
    enum tool_match one = tool_scan_word(s, parameter), end = TOOL_DIFFERENT;
    if (one == TOOL_MATCH) {
        s->object.arguments.at = s->at;
        s->phase = parameter_name;
        return TOOL_NEXT;
    }
    end = tool_scan_word(s, end_function);
    if (end == TOOL_MATCH)
        return finish(s);
    return one == TOOL_PARTIAL || end == TOOL_PARTIAL ? TOOL_MORE : fail(s);
}

static enum tool_step function_name(struct tool_scan *s)
{
    enum tool_match m = read_name(s, &s->object.name);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    s->phase = between;
    return TOOL_NEXT;
}

/* The function's own mark has been read; if the call breaks, it is none again. */
static enum tool_step begin_function(struct tool_scan *s)
{
    s->resume = s->at;
    s->object.name.at = s->at;
    tool_args_begin(&s->args);
    s->phase = function_name;
    return TOOL_NEXT;
}

static enum tool_step find_function(struct tool_scan *s)
{
    if (tool_scan_blanks(s) == TOOL_PARTIAL)
        return TOOL_MORE;
    enum tool_match m = tool_scan_word(s, function);
    if (m == TOOL_MATCH)
        return begin_function(s);
    return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
}

static enum tool_step behind(struct tool_scan *s)
{
    if (tool_scan_blanks(s) == TOOL_PARTIAL)
        return TOOL_MORE;
    enum tool_match end = tool_scan_word(s, end_call), next = TOOL_DIFFERENT;
    if (end == TOOL_MATCH)
        return TOOL_END;
    next = tool_scan_word(s, function);
    if (next == TOOL_MATCH)
        return begin_function(s);
    return end == TOOL_PARTIAL || next == TOOL_PARTIAL ? TOOL_MORE : tool_scan_back(s);
}

static enum tool_step begin(struct tool_scan *s)
{
    if (strcmp(s->mark->open, function) == 0)
        return begin_function(s);
    s->phase = find_function;
    return TOOL_NEXT;
}

const struct tool_form tool_qwen3_coder = {
    .name = "qwen3_coder",
    .marks = {{"<tool_call>", end_call}, {function, NULL}},
    .begin = begin,
    .behind = behind,
};
