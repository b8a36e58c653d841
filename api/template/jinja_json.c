/*
 * Writes JSON the way Python's json.dumps does. Runs on the render's thread, over its
 * builder, which bounds the output; nesting is bounded here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_json.h"

#include "api/template/jinja_print.h"
#include "engine/base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 200 };

struct writer {
    struct jinja_builder *b;
    const struct jinja_json_style *style;
    int depth;
};

static void write_value(struct writer *w, struct jinja_value v);

/* ---- texts ---- */

static bool is_plain(unsigned char c, bool ascii)
{
    return c >= 0x20 && c != '"' && c != '\\' && !(ascii && c >= 0x7F);
}

static void put_unit(struct writer *w, uint32_t unit, uint16_t mark)
{
    char text[8];
    snprintf(text, sizeof text, "\\u%04" PRIx32, unit & 0xFFFF);
    jinja_string_put(w->b, text, 6, mark);
}

static void put_escape(struct writer *w, uint32_t c, uint16_t mark)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *found = c && c < 0x80 ? strchr(from, (int)c) : NULL;
    if (found) {
        const char text[] = {'\\', to[found - from]};
        jinja_string_put(w->b, text, 2, mark);
    } else if (c < 0x10000) {
        put_unit(w, c, mark);
    } else {
        put_unit(w, 0xD800 + ((c - 0x10000) >> 10), mark);
        put_unit(w, 0xDC00 + (c & 0x3FF), mark);
    }
}

/* Runs that need no escape are copied whole. */
static void write_text(struct writer *w, const struct jinja_string *s)
{
    bool ascii = w->style->ensure_ascii;
    size_t begun = 0;
    jinja_string_puts(w->b, "\"");
    for (size_t i = 0; i < s->len && !w->b->render->failed;) {
        if (is_plain((unsigned char)s->text[i], ascii)) {
            i++;
            continue;
        }
        uint32_t c;
        size_t n = (size_t)utf8_decode(s->text + i, s->len - i, &c);
        jinja_string_slice(w->b, s, begun, i - begun);
        put_escape(w, c, jinja_string_mark(s, i));
        i += n;
        begun = i;
    }
    jinja_string_slice(w->b, s, begun, s->len - begun);
    jinja_string_puts(w->b, "\"");
}

/* ---- numbers ---- */

static void put_real(struct writer *w, double x)
{
    char text[JINJA_PRINT_REAL];
    if (isnan(x))
        snprintf(text, sizeof text, "NaN");
    else if (isinf(x))
        snprintf(text, sizeof text, x < 0 ? "-Infinity" : "Infinity");
    else
        jinja_print_real(x, text);
    jinja_string_puts(w->b, text);
}

/* None, numbers and booleans, as values and (within quotes) as keys. */
static void put_scalar(struct writer *w, struct jinja_value v)
{
    char text[32];
    if (v.kind == JINJA_REAL) {
        put_real(w, v.real);
        return;
    }
    if (v.kind == JINJA_INT)
        snprintf(text, sizeof text, "%" PRId64, v.integer);
    else if (v.kind == JINJA_BOOL)
        snprintf(text, sizeof text, v.truth ? "true" : "false");
    else
        snprintf(text, sizeof text, "null");
    jinja_string_puts(w->b, text);
}

/* ---- containers ---- */

static void put_line(struct writer *w)
{
    if (!w->style->indent)
        return;
    jinja_string_puts(w->b, "\n");
    for (int i = 0; i < w->depth && !w->b->render->failed; i++)
        jinja_string_join(w->b, w->style->indent);
}

static void put_separator(struct writer *w, const struct jinja_string *given,
                          const char *usual)
{
    if (given)
        jinja_string_join(w->b, given);
    else
        jinja_string_puts(w->b, usual);
}

/* Before item i. */
static void put_before(struct writer *w, size_t i)
{
    if (i > 0)
        put_separator(w, w->style->item_separator, w->style->indent ? "," : ", ");
    put_line(w);
}

static void write_items(struct writer *w, const struct jinja_list *list)
{
    for (size_t i = 0; i < list->n && !w->b->render->failed; i++) {
        put_before(w, i);
        write_value(w, list->items[i]);
    }
}

static void write_key(struct writer *w, struct jinja_value key)
{
    if (key.kind == JINJA_STRING) {
        write_text(w, key.string);
    } else if (key.kind == JINJA_TUPLE) {
        jinja_render_fail(w->b->render,
                          "keys must be str, int, float, bool or None, not tuple");
    } else {
        jinja_string_puts(w->b, "\"");
        put_scalar(w, key);
        jinja_string_puts(w->b, "\"");
    }
}

static int compare_texts(const struct jinja_string *a, const struct jinja_string *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int order = n ? memcmp(a->text, b->text, n) : 0;
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static double number_of(struct jinja_value v)
{
    return v.kind == JINJA_REAL  ? v.real
           : v.kind == JINJA_INT ? (double)v.integer
                                 : v.truth;
}

/* Of two texts or two numbers, which differ. UTF-8 sorts as its code points do. */
static int compare_keys(const void *left, const void *right)
{
    struct jinja_value a = ((const struct jinja_entry *)left)->key;
    struct jinja_value b = ((const struct jinja_entry *)right)->key;
    if (a.kind == JINJA_STRING)
        return compare_texts(a.string, b.string);
    if (a.kind == JINJA_INT && b.kind == JINJA_INT)
        return a.integer < b.integer ? -1 : 1;
    return number_of(a) < number_of(b) ? -1 : 1;
}

static bool keys_compare(const struct jinja_dict *d)
{
    bool texts = d->n > 0 && d->entries[0].key.kind == JINJA_STRING;
    for (size_t i = 0; i < d->n && d->n > 1; i++) {
        enum jinja_kind kind = d->entries[i].key.kind;
        bool number = kind == JINJA_BOOL || kind == JINJA_INT || kind == JINJA_REAL;
        if (texts ? kind != JINJA_STRING : !number)
            return false;
    }
    return true;
}

/* The entries by their keys; NULL: the render failed. */
static const struct jinja_entry *sorted(struct writer *w, const struct jinja_dict *d)
{
    struct jinja_render *r = w->b->render;
    if (!keys_compare(d)) {
        jinja_render_fail(r, "keys of different types cannot be sorted");
        return NULL;
    }
    if (!jinja_render_work(r, d->n))
        return NULL;
    struct jinja_entry *entries = jinja_render_alloc(r, d->n * sizeof *entries);
    if (!entries)
        return NULL;
    memcpy(entries, d->entries, d->n * sizeof *entries);
    qsort(entries, d->n, sizeof *entries, compare_keys);
    return entries;
}

static void write_members(struct writer *w, const struct jinja_dict *d)
{
    const struct jinja_entry *entries =
        w->style->sort_keys && d->n > 0 ? sorted(w, d) : d->entries;
    for (size_t i = 0; i < d->n && !w->b->render->failed; i++) {
        put_before(w, i);
        write_key(w, entries[i].key);
        put_separator(w, w->style->key_separator, ": ");
        write_value(w, entries[i].value);
    }
}

static void write_container(struct writer *w, struct jinja_value v)
{
    bool is_dict = v.kind == JINJA_DICT;
    size_t n = is_dict ? v.dict->n : v.list->n;
    if (++w->depth > JSON_DEPTH)
        jinja_render_fail(w->b->render, "a value is nested too deeply for JSON");
    jinja_string_puts(w->b, is_dict ? "{" : "[");
    if (is_dict)
        write_members(w, v.dict);
    else
        write_items(w, v.list);
    w->depth--;
    if (n > 0)
        put_line(w);
    jinja_string_puts(w->b, is_dict ? "}" : "]");
}

static void write_value(struct writer *w, struct jinja_value v)
{
    switch (v.kind) {
    case JINJA_STRING:
        write_text(w, v.string);
        break;
    case JINJA_NONE:
    case JINJA_BOOL:
    case JINJA_INT:
    case JINJA_REAL:
        put_scalar(w, v);
        break;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
        write_container(w, v);
        break;
    default:
        jinja_render_fail(w->b->render, "Object of type %s is not JSON serializable",
                          jinja_print_type(v));
    }
}

void jinja_json(struct jinja_builder *b, struct jinja_value v,
                const struct jinja_json_style *style)
{
    struct writer w = {.b = b, .style = style};
    write_value(&w, v);
}
