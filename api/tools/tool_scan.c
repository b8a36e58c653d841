/* What the forms' functions share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_scan.h"

#include <string.h>

bool tool_scan_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

enum tool_match tool_scan_blanks(struct tool_scan *s)
{
    while (s->at < s->len && tool_scan_blank(s->s[s->at]))
        s->at++;
    if (s->at < s->len)
        return TOOL_MATCH;
    return s->final ? TOOL_DIFFERENT : TOOL_PARTIAL;
}

enum tool_match tool_scan_word(struct tool_scan *s, const char *word)
{
    size_t len = strlen(word), left = s->len - s->at;
    size_t n = left < len ? left : len;
    if (n && memcmp(s->s + s->at, word, n) != 0)
        return TOOL_DIFFERENT;
    if (n < len)
        return s->final ? TOOL_DIFFERENT : TOOL_PARTIAL;
    s->at += len;
    return TOOL_MATCH;
}

bool tool_scan_at(const struct tool_scan *s, char c)
{
    return s->at < s->len && s->s[s->at] == c;
}

enum tool_step tool_scan_back(struct tool_scan *s)
{
    s->at = s->unit;
    return TOOL_END;
}

const struct tool_spec *tool_scan_spec(const struct tool_scan *s, const char *name,
                                       size_t len)
{
    for (size_t i = 0; i < s->n_specs; i++) {
        const struct tool_spec *t = &s->specs[i];
        if (t->name_len == len && memcmp(t->name, name, len) == 0)
            return t;
    }
    return NULL;
}

bool tool_scan_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-' || c == '.';
}
