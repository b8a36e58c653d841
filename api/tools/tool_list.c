/* A call is whole with its own end; what must not follow it is content. What stands
 * between calls belongs to the next one, if there is one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_list.h"

static enum tool_step unit(struct tool_scan *s)
{
    if (s->at >= s->wall || !s->form->opens(s->s[s->at]))
        return TOOL_BROKEN;
    s->phase = s->form->unit;
    return TOOL_NEXT;
}

static enum tool_step blanks_and_unit(struct tool_scan *s)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    return unit(s);
}

enum tool_step tool_list_begin(struct tool_scan *s)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_BROKEN;
    s->listed = s->form->brackets && tool_scan_at(s, '[');
    s->at += s->listed;
    s->phase = blanks_and_unit;
    return TOOL_NEXT;
}

/* Behind the last call and its bracket: the end mark, or nothing. */
static enum tool_step close_mark(struct tool_scan *s)
{
    if (tool_scan_blanks(s) == TOOL_PARTIAL)
        return TOOL_MORE;
    if (!s->mark || !s->mark->close)
        return tool_scan_back(s);
    enum tool_match m = tool_scan_word(s, s->mark->close);
    if (m == TOOL_PARTIAL)
        return TOOL_MORE;
    return m == TOOL_MATCH ? TOOL_END : tool_scan_back(s);
}

/* A bracket behind the last call is dropped, whatever follows. */
static enum tool_step close_list(struct tool_scan *s)
{
    if (s->listed && tool_scan_at(s, ']')) {
        s->listed = false;
        s->unit = ++s->at;
    }
    s->phase = close_mark;
    return TOOL_NEXT;
}

/* One at the end of the answer is dropped: a list was cut. */
static enum tool_step behind_separator(struct tool_scan *s)
{
    enum tool_match m = tool_scan_blanks(s);
    if (m != TOOL_MATCH)
        return m == TOOL_PARTIAL ? TOOL_MORE : TOOL_END;
    return s->at < s->wall && s->form->opens(s->s[s->at]) ? unit(s) : close_list(s);
}

enum tool_step tool_list_behind(struct tool_scan *s)
{
    char separator = s->form->separator;
    if (tool_scan_blanks(s) == TOOL_PARTIAL)
        return TOOL_MORE;
    if (s->at == s->len)
        return tool_scan_back(s);
    if (separator && !tool_scan_at(s, separator)) {
        s->phase = close_list;
        return TOOL_NEXT;
    }
    s->at += separator != 0;
    s->phase = behind_separator;
    return TOOL_NEXT;
}

enum tool_step tool_list_resume(struct tool_scan *s)
{
    s->listed = s->form->brackets;
    s->phase = blanks_and_unit;
    return TOOL_NEXT;
}
