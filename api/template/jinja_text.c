/*
 * Operations on texts. Runs on the render's thread; what they search is counted as work,
 * what they make as memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_text.h"

#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_space.h"

#include <string.h>

/* ---- strip ---- */

static size_t char_first(const char *s, size_t len)
{
    unsigned char c = len > 0 ? (unsigned char)*s : 0;
    size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return n <= len ? n : 0;
}

static size_t char_last(const char *s, size_t len)
{
    size_t n = len > 0;
    while (n > 0 && n < len && ((unsigned char)s[len - n] & 0xC0) == 0x80)
        n++;
    return n;
}

/* Bytes of the first or last character of s if it is to go, 0: it stays. */
static size_t skip(struct jinja_render *r, const char *s, size_t len,
                   const struct jinja_string *chars, bool last)
{
    if (!chars)
        return last ? jinja_space_last(s, len) : jinja_space_first(s, len);
    size_t n = last ? char_last(s, len) : char_first(s, len);
    const char *c = last ? s + len - n : s;
    bool goes = n > 0 && jinja_render_work(r, chars->len) &&
                memmem(chars->text, chars->len, c, n) != NULL;
    return goes ? n : 0;
}

struct jinja_value jinja_text_strip(struct jinja_render *r, const struct jinja_string *s,
                                    const struct jinja_string *chars, int sides)
{
    size_t from = 0, to = s->len, n;
    while ((sides & JINJA_TEXT_LEFT) &&
           (n = skip(r, s->text + from, to - from, chars, false)) > 0)
        from += n;
    while ((sides & JINJA_TEXT_RIGHT) &&
           (n = skip(r, s->text + from, to - from, chars, true)) > 0)
        to -= n;
    jinja_render_work(r, from + s->len - to);
    return jinja_string_cut(r, s, from, to - from);
}

/* ---- split ---- */

static void add_cut(struct jinja_render *r, struct jinja_value list,
                    const struct jinja_string *s, size_t from, size_t to)
{
    struct jinja_value piece = jinja_string_cut(r, s, from, to - from);
    if (!r->failed)
        jinja_render_add(r, list.list, piece);
}

static size_t blanks(const struct jinja_string *s, size_t at)
{
    return at + jinja_space_begin(s->text + at, s->len - at);
}

static struct jinja_value split_blanks(struct jinja_render *r,
                                       const struct jinja_string *s, int64_t most)
{
    struct jinja_value list = jinja_render_list(r);
    size_t at = blanks(s, 0);
    for (; at < s->len && most != 0 && !r->failed; most--) {
        size_t from = at;
        while (at < s->len && !jinja_space_first(s->text + at, s->len - at))
            at++;
        add_cut(r, list, s, from, at);
        at = blanks(s, at);
    }
    if (at < s->len && !r->failed)
        add_cut(r, list, s, at, s->len);
    return list;
}

static const char *find(const struct jinja_string *s, size_t from,
                        const struct jinja_string *sub)
{
    return memmem(s->text + from, s->len - from, sub->text, sub->len);
}

struct jinja_value jinja_text_split(struct jinja_render *r, const struct jinja_string *s,
                                    const struct jinja_string *sep, int64_t most)
{
    jinja_render_work(r, s->len);
    if (!sep)
        return split_blanks(r, s, most);
    if (sep->len == 0)
        return jinja_render_fail(r, "empty separator");
    struct jinja_value list = jinja_render_list(r);
    size_t from = 0;
    for (const char *at; most != 0 && !r->failed && (at = find(s, from, sep)); most--) {
        add_cut(r, list, s, from, (size_t)(at - s->text));
        from = (size_t)(at - s->text) + sep->len;
    }
    if (!r->failed)
        add_cut(r, list, s, from, s->len);
    return list;
}

/* The last place of sub within the first len bytes. */
static const char *find_last(struct jinja_render *r, const char *s, size_t len,
                             const struct jinja_string *sub)
{
    if (sub->len == 0 || sub->len > len)
        return sub->len == 0 ? s + len : NULL;
    for (size_t at = len - sub->len + 1; at-- > 0;)
        if (s[at] == sub->text[0] && jinja_render_work(r, sub->len) &&
            memcmp(s + at, sub->text, sub->len) == 0)
            return s + at;
    return NULL;
}

/* Pieces from the end on, in the order of the end. */
static void rsplit(struct jinja_render *r, const struct jinja_string *s,
                   const struct jinja_string *sep, int64_t most, struct jinja_value list)
{
    size_t to = s->len;
    const char *at;
    for (; most != 0 && !r->failed && (at = find_last(r, s->text, to, sep)); most--) {
        add_cut(r, list, s, (size_t)(at - s->text) + sep->len, to);
        to = (size_t)(at - s->text);
    }
    add_cut(r, list, s, 0, to);
}

static void rsplit_blanks(struct jinja_render *r, const struct jinja_string *s,
                          int64_t most, struct jinja_value list)
{
    size_t to = s->len - jinja_space_end(s->text, s->len);
    for (; to > 0 && most != 0 && !r->failed; most--) {
        size_t from = to;
        while (from > 0 && !jinja_space_last(s->text, from))
            from--;
        add_cut(r, list, s, from, to);
        to = from - jinja_space_end(s->text, from);
    }
    if (to > 0)
        add_cut(r, list, s, 0, to);
}

struct jinja_value jinja_text_rsplit(struct jinja_render *r, const struct jinja_string *s,
                                     const struct jinja_string *sep, int64_t most)
{
    jinja_render_work(r, s->len);
    if (sep && sep->len == 0)
        return jinja_render_fail(r, "empty separator");
    struct jinja_value list = jinja_render_list(r);
    if (r->failed)
        return list;
    if (sep)
        rsplit(r, s, sep, most, list);
    else
        rsplit_blanks(r, s, most, list);
    return jinja_sequence_reverse(r, list);
}

struct jinja_value jinja_text_lines(struct jinja_render *r, const struct jinja_string *s,
                                    bool keep_ends)
{
    struct jinja_value list = jinja_render_list(r);
    size_t from = 0, at = 0;
    jinja_render_work(r, s->len);
    while (at < s->len && !r->failed) {
        size_t n = jinja_space_break(s->text + at, s->len - at);
        if (n > 0) {
            add_cut(r, list, s, from, keep_ends ? at + n : at);
            from = at + n;
        }
        at += n > 0 ? n : 1;
    }
    if (from < s->len && !r->failed)
        add_cut(r, list, s, from, s->len);
    return list;
}

/* ---- replace, find, join, indent ---- */

/* new before every character and at the end. */
static struct jinja_value spread(struct jinja_render *r, const struct jinja_string *s,
                                 const struct jinja_string *new, int64_t most)
{
    struct jinja_builder b;
    size_t at = 0;
    jinja_string_begin(&b, r);
    for (; most != 0 && !r->failed; most--) {
        jinja_string_join(&b, new);
        if (at == s->len)
            break;
        size_t n = char_first(s->text + at, s->len - at);
        jinja_string_slice(&b, s, at, n);
        at += n;
    }
    jinja_string_slice(&b, s, at, s->len - at);
    return jinja_string_end(&b);
}

struct jinja_value jinja_text_replace(struct jinja_render *r,
                                      const struct jinja_string *s,
                                      const struct jinja_string *old,
                                      const struct jinja_string *new, int64_t most)
{
    struct jinja_builder b;
    size_t from = 0;
    jinja_render_work(r, s->len);
    if (old->len == 0)
        return spread(r, s, new, most);
    if (most == 0 || !find(s, 0, old))
        return jinja_string_cut(r, s, 0, s->len);
    jinja_string_begin(&b, r);
    for (const char *at; most != 0 && !r->failed && (at = find(s, from, old)); most--) {
        size_t to = (size_t)(at - s->text);
        jinja_string_slice(&b, s, from, to - from);
        jinja_string_join(&b, new);
        from = to + old->len;
    }
    jinja_string_slice(&b, s, from, s->len - from);
    return jinja_string_end(&b);
}

int64_t jinja_text_find(struct jinja_render *r, const struct jinja_string *s,
                        const struct jinja_string *sub, bool last)
{
    jinja_render_work(r, s->len);
    const char *at = last ? find_last(r, s->text, s->len, sub) : find(s, 0, sub);
    return at ? at - s->text : -1;
}

struct jinja_value jinja_text_join(struct jinja_render *r, const struct jinja_string *sep,
                                   struct jinja_value items, bool strict)
{
    struct jinja_builder b;
    struct jinja_cursor c;
    struct jinja_value item;
    bool first = true;
    jinja_string_begin(&b, r);
    if (!jinja_sequence_begin(r, items, &c))
        return items;
    while (jinja_sequence_next(r, &c, &item)) {
        if (strict && item.kind != JINJA_STRING)
            return jinja_render_fail(r, "sequence item: expected str instance, %s found",
                                     jinja_print_type(item));
        if (!first)
            jinja_string_join(&b, sep);
        first = false;
        jinja_print(&b, item);
    }
    return jinja_string_end(&b);
}

struct jinja_value jinja_text_indent(struct jinja_render *r, const struct jinja_string *s,
                                     const struct jinja_string *by, bool first,
                                     bool blank)
{
    struct jinja_builder b;
    struct jinja_value lines = jinja_text_lines(r, s, false);
    /* A text that ends in a break has one more, empty line. */
    bool ends =
        s->len == 0 || jinja_space_break(s->text + s->len - char_last(s->text, s->len),
                                         char_last(s->text, s->len)) > 0;
    if (ends && !r->failed)
        add_cut(r, lines, s, s->len, s->len);
    jinja_string_begin(&b, r);
    if (first)
        jinja_string_join(&b, by);
    for (size_t i = 0; !r->failed && i < lines.list->n; i++) {
        const struct jinja_string *line = lines.list->items[i].string;
        if (i > 0)
            jinja_string_puts(&b, "\n");
        if (i > 0 && (blank || line->len > 0))
            jinja_string_join(&b, by);
        jinja_string_join(&b, line);
    }
    return jinja_string_end(&b);
}
