/* lfm2: a list of Python calls, every argument by its name and a literal, Python's or
 * JSON's. An object of name and arguments is taken for a call, too.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_form.h"
#include "api/tools/tool_list.h"
#include "api/tools/tool_object.h"

static enum tool_step argument(struct tool_scan *s);

static enum tool_step finish(struct tool_scan *s)
{
    struct tool_span name = s->object.name;
    if (!tool_args_write(&s->args, &s->arguments))
        s->arguments.failed = true;
    s->call.name = s->s + name.at;
    s->call.name_len = name.end - name.at;
    s->call.arguments = s->arguments.data;
    s->call.arguments_len = s->arguments.len;
    s->phase = s->form->behind;
    s->at++;
    return TOOL_CALL;
}

static enum tool_step behind_argument(struct tool_scan *s)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m == TOOL_PARTIAL)
        return TOOL_MORE;
    if (s->at < s->wall && s->s[s->at] == ')')
        return finish(s);
    if (s->at >= s->wall || s->s[s->at] != ',')
        return TOOL_BROKEN;
    s->at++;
    s->phase = argument;
    return TOOL_NEXT;
}

static enum tool_step read_value(struct tool_scan *s)
{
    enum tool_literal_status status;
    do
        status = tool_object_run(s, &s->object.literal);
    while (status == TOOL_LITERAL_MEMBER);
    if (status == TOOL_LITERAL_MORE)
        return TOOL_MORE;
    s->phase = behind_argument;
    return status == TOOL_LITERAL_DONE ? TOOL_NEXT : TOOL_BROKEN;
}

/* Reads a name up to another character: MATCH. */
static enum tool_match read_word(struct tool_scan *s, struct tool_span *word)
{
    while (s->at < s->wall && tool_scan_name_char(s->s[s->at]))
        s->at++;
    word->end = s->at;
    if (s->at == s->len && !s->final)
        return TOOL_PARTIAL;
    return s->at < s->wall && word->end > word->at ? TOOL_MATCH : TOOL_DIFFERENT;
}

/* Blanks, and this character. */
static enum tool_match read_char(struct tool_scan *s, char c)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m != TOOL_MATCH)
        return m;
    if (s->at >= s->wall || s->s[s->at] != c)
        return TOOL_DIFFERENT;
    s->at++;
    return TOOL_MATCH;
}

static enum tool_step equals(struct tool_scan *s)
{
    struct tool_span name = s->object.arguments;
    enum tool_match m = read_char(s, '=');
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    struct buf *out = tool_args_add(&s->args, s->s + name.at, name.end - name.at);
    tool_literal_begin(&s->object.literal, s->at, out);
    s->phase = read_value;
    return TOOL_NEXT;
}

static enum tool_step argument_name(struct tool_scan *s)
{
    enum tool_match m = read_word(s, &s->object.arguments);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    s->phase = equals;
    return TOOL_NEXT;
}

static enum tool_step argument(struct tool_scan *s)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    if (s->at < s->wall && s->s[s->at] == ')')
        return finish(s);
    s->object.arguments.at = s->at;
    s->phase = argument_name;
    return TOOL_NEXT;
}

static enum tool_step parenthesis(struct tool_scan *s)
{
    enum tool_match m = read_char(s, '(');
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    tool_args_begin(&s->args);
    s->phase = argument;
    return TOOL_NEXT;
}

static enum tool_step read_name(struct tool_scan *s)
{
    enum tool_match m = read_word(s, &s->object.name);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    s->phase = parenthesis;
    return TOOL_NEXT;
}

static enum tool_step unit(struct tool_scan *s)
{
    if (s->s[s->at] == '{')
        return tool_object_unit(s);
    s->object.name.at = s->at;
    s->phase = read_name;
    return TOOL_NEXT;
}

static bool opens(char c)
{
    return c == '{' || (tool_scan_name_char(c) && !(c >= '0' && c <= '9'));
}

const struct tool_form tool_lfm2 = {
    .name = "lfm2",
    .marks = {{"<|tool_call_start|>", "<|tool_call_end|>"}},
    .brackets = true,
    .separator = ',',
    .begin = tool_list_begin,
    .behind = tool_list_behind,
    .unit = unit,
    .resume = tool_list_resume,
    .opens = opens,
};
