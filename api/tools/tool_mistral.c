/* mistral: behind [TOOL_CALLS] a list of objects, or a name, perhaps an id, and the
 * object of arguments behind [ARGS] or at once. Each call of the latter has its own mark.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_form.h"
#include "api/tools/tool_list.h"
#include "api/tools/tool_object.h"

/* The next call has a mark of its own. */
static enum tool_step over(struct tool_scan *s)
{
    return tool_scan_back(s);
}

static enum tool_step read_arguments(struct tool_scan *s)
{
    struct tool_literal *l = &s->object.literal;
    struct tool_span name = s->object.name;
    enum tool_literal_status status;
    do
        status = tool_object_run(s, l);
    while (status == TOOL_LITERAL_MEMBER);
    if (status == TOOL_LITERAL_MORE)
        return TOOL_MORE;
    if (status == TOOL_LITERAL_BROKEN)
        return TOOL_BROKEN;
    s->call.name = s->s + name.at;
    s->call.name_len = name.end - name.at;
    s->call.arguments = s->s + s->object.arguments.at;
    s->call.arguments_len = s->at - s->object.arguments.at;
    s->phase = over;
    return TOOL_CALL;
}

static enum tool_step begin_arguments(struct tool_scan *s)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m == TOOL_PARTIAL)
        return TOOL_MORE;
    if (s->at >= s->wall || s->s[s->at] != '{')
        return TOOL_BROKEN;
    s->object.arguments.at = s->at;
    tool_literal_begin(&s->object.literal, s->at, NULL);
    s->phase = read_arguments;
    return TOOL_NEXT;
}

static enum tool_step args_mark(struct tool_scan *s)
{
    if (tool_scan_blanks(s) == TOOL_PARTIAL ||
        tool_scan_word(s, "[ARGS]") == TOOL_PARTIAL)
        return TOOL_MORE;
    s->phase = begin_arguments;
    return TOOL_NEXT;
}

static enum tool_step read_id(struct tool_scan *s)
{
    while (s->at < s->wall && tool_scan_name_char(s->s[s->at]))
        s->at++;
    if (s->at == s->len && !s->final)
        return TOOL_MORE;
    s->phase = args_mark;
    return TOOL_NEXT;
}

static enum tool_step id_mark(struct tool_scan *s)
{
    if (tool_scan_blanks(s) == TOOL_PARTIAL)
        return TOOL_MORE;
    enum tool_match m = tool_scan_word(s, "[CALL_ID]");
    if (m == TOOL_PARTIAL)
        return TOOL_MORE;
    s->phase = m == TOOL_MATCH ? read_id : args_mark;
    return TOOL_NEXT;
}

static enum tool_step read_name(struct tool_scan *s)
{
    while (s->at < s->wall && tool_scan_name_char(s->s[s->at]))
        s->at++;
    if (s->at == s->len)
        return s->final ? TOOL_BROKEN : TOOL_MORE;
    s->object.name.end = s->at;
    s->phase = id_mark;
    return TOOL_NEXT;
}

static enum tool_step begin(struct tool_scan *s)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    s->object.name.at = s->at;
    s->phase = tool_scan_name_char(s->s[s->at]) ? read_name : tool_list_begin;
    return TOOL_NEXT;
}

const struct tool_form tool_mistral = {
    .name = "mistral",
    .marks = {{"[TOOL_CALLS]", NULL}},
    .inner = {"[ARGS]", "[CALL_ID]"},
    .brackets = true,
    .separator = ',',
    .begin = begin,
    .behind = tool_list_behind,
    .unit = tool_object_unit,
    .resume = tool_list_resume,
    .opens = tool_object_opens,
};
