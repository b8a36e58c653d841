/*
 * Iteration, lengths, items and slices, with Python's rules. Runs on the render's thread;
 * refuses by failing the render. A text is walked by code points; of ASCII text the index
 * of a byte is that of its code point.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_sequence.h"

#include "api/template/jinja_print.h"
#include "engine/base/utf8.h"

#include <string.h>

bool jinja_sequence_iterable(struct jinja_value v)
{
    return v.kind == JINJA_UNDEFINED || (v.kind >= JINJA_STRING && v.kind <= JINJA_DICT);
}

bool jinja_sequence_begin(struct jinja_render *r, struct jinja_value v,
                          struct jinja_cursor *c)
{
    *c = (struct jinja_cursor){.of = v};
    if (!jinja_sequence_iterable(v))
        jinja_render_fail(r, "'%s' object is not iterable", jinja_print_type(v));
    return !r->failed;
}

static size_t char_len(const char *s)
{
    unsigned char c = (unsigned char)*s;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static struct jinja_value range_at(const struct jinja_range *range, size_t i)
{
    return jinja_int(range->start + (int64_t)i * range->step);
}

static bool list_next(struct jinja_list *list, size_t *next, struct jinja_value *out)
{
    if (*next >= list->n)
        return false;
    *out = list->items[(*next)++];
    return true;
}

/* Characters of a safe text are not safe. */
static bool text_next(struct jinja_render *r, struct jinja_string s, size_t *next,
                      struct jinja_value *out)
{
    size_t len = char_len(s.text + *next);
    s.safe = false;
    *out = jinja_string_cut(r, &s, *next, len);
    *next += len;
    return !r->failed;
}

bool jinja_sequence_next(struct jinja_render *r, struct jinja_cursor *c,
                         struct jinja_value *out)
{
    struct jinja_value v = c->of;
    if (!jinja_render_work(r, 0))
        return false;
    switch (v.kind) {
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_VIEW:
        return list_next(v.list, &c->next, out);
    case JINJA_ITERATOR:
        return list_next(v.list, &v.list->next, out);
    case JINJA_DICT:
        if (c->next >= v.dict->n)
            return false;
        *out = v.dict->entries[c->next++].key;
        return true;
    case JINJA_RANGE:
        if (c->next >= v.range->n)
            return false;
        *out = range_at(v.range, c->next++);
        return true;
    case JINJA_STRING:
        if (c->next >= v.string->len)
            return false;
        return text_next(r, *v.string, &c->next, out);
    default:
        return false;
    }
}

bool jinja_sequence_len(struct jinja_render *r, struct jinja_value v, size_t *n)
{
    switch (v.kind) {
    case JINJA_UNDEFINED:
        *n = 0;
        return true;
    case JINJA_STRING:
        jinja_render_work(r, v.string->len);
        *n = utf8_count(v.string->text, v.string->len);
        return true;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_VIEW:
        *n = v.list->n;
        return true;
    case JINJA_RANGE:
        *n = v.range->n;
        return true;
    case JINJA_DICT:
        *n = v.dict->n;
        return true;
    default:
        return false;
    }
}

struct jinja_value jinja_sequence_list(struct jinja_render *r, struct jinja_value v)
{
    struct jinja_cursor c;
    struct jinja_value list = jinja_render_list(r), item;
    if (!jinja_sequence_begin(r, v, &c))
        return list;
    while (jinja_sequence_next(r, &c, &item))
        jinja_render_add(r, list.list, item);
    return list;
}

/* Where code point i of the text begins; len: it has no more. */
static size_t byte_of(const struct jinja_string *s, size_t n_chars, size_t i)
{
    if (n_chars == s->len || i >= n_chars)
        return i < n_chars ? i : s->len;
    size_t at = 0;
    while (i-- > 0)
        at += char_len(s->text + at);
    return at;
}

static struct jinja_value item_at(struct jinja_render *r, struct jinja_value v, size_t n,
                                  size_t i)
{
    if (v.kind == JINJA_RANGE)
        return range_at(v.range, i);
    if (v.kind != JINJA_STRING)
        return v.list->items[i];
    size_t at = byte_of(v.string, n, i);
    return jinja_string_cut(r, v.string, at, char_len(v.string->text + at));
}

static bool has_items(struct jinja_value v)
{
    return v.kind == JINJA_LIST || v.kind == JINJA_TUPLE || v.kind == JINJA_RANGE ||
           v.kind == JINJA_STRING;
}

bool jinja_sequence_at(struct jinja_render *r, struct jinja_value v, int64_t i,
                       struct jinja_value *out)
{
    size_t n = 0;
    if (!has_items(v) || !jinja_sequence_len(r, v, &n))
        return false;
    if (i < 0)
        i += (int64_t)n;
    if (i < 0 || i >= (int64_t)n)
        return false;
    *out = item_at(r, v, n, (size_t)i);
    return !r->failed;
}

/* A bound as Python clips it, of a sequence of n items walked by `step`. */
static int64_t clip(const int64_t *bound, int64_t n, int64_t step, int64_t absent)
{
    if (!bound)
        return absent;
    if (*bound < -n)
        return step < 0 ? -1 : 0;
    int64_t at = *bound < 0 ? *bound + n : *bound;
    if (at >= n)
        return step < 0 ? n - 1 : n;
    return at;
}

static size_t count(int64_t from, int64_t to, int64_t step)
{
    if (step > 0)
        return from < to ? (size_t)((to - from - 1) / step) + 1 : 0;
    return from > to ? (size_t)((from - to - 1) / -step) + 1 : 0;
}

static struct jinja_value text_slice(struct jinja_render *r, const struct jinja_string *s,
                                     size_t n_chars, int64_t from, size_t n, int64_t step)
{
    if (n == 0)
        return jinja_string_cut(r, s, 0, 0);
    if (step == 1) {
        size_t begin = byte_of(s, n_chars, (size_t)from);
        struct jinja_string rest = {.text = s->text + begin, .len = s->len - begin};
        size_t len = byte_of(&rest, n_chars - (size_t)from, n);
        return jinja_string_cut(r, s, begin, len);
    }
    size_t *bytes = jinja_render_alloc(r, (n_chars + 1) * sizeof *bytes);
    struct jinja_builder b;
    jinja_string_begin(&b, r);
    for (size_t i = 0, at = 0; bytes && i < n_chars; at += char_len(s->text + at))
        bytes[i++] = at;
    for (size_t i = 0; bytes && i < n && !r->failed; i++) {
        size_t at = bytes[from + (int64_t)i * step];
        jinja_string_slice(&b, s, at, char_len(s->text + at));
    }
    return jinja_string_end(&b);
}

static struct jinja_value range_slice(struct jinja_render *r,
                                      const struct jinja_range *of, int64_t from,
                                      size_t n, int64_t step)
{
    struct jinja_range *range = jinja_render_alloc(r, sizeof *range);
    if (!range)
        return (struct jinja_value){0};
    /* Without a sign, for what no number of the range reaches may overflow. */
    uint64_t start = (uint64_t)of->start, width = (uint64_t)of->step;
    uint64_t end = (uint64_t)from + n * (uint64_t)step;
    range->start = (int64_t)(start + (uint64_t)from * width);
    range->stop = (int64_t)(start + end * width);
    range->step = (int64_t)(width * (uint64_t)step);
    range->n = n;
    return (struct jinja_value){.kind = JINJA_RANGE, .range = range};
}

static struct jinja_value list_slice(struct jinja_render *r, struct jinja_value v,
                                     int64_t from, size_t n, int64_t step)
{
    struct jinja_value out = jinja_render_list(r);
    for (size_t i = 0; i < n && !r->failed; i++)
        jinja_render_add(r, out.list, v.list->items[from + (int64_t)i * step]);
    if (!r->failed)
        out.kind = v.kind;
    return out;
}

struct jinja_value jinja_sequence_slice(struct jinja_render *r, struct jinja_value v,
                                        const int64_t *from, const int64_t *to,
                                        const int64_t *step)
{
    size_t len = 0;
    if (!has_items(v) || !jinja_sequence_len(r, v, &len))
        return jinja_render_fail(r, "'%s' object cannot be sliced", jinja_print_type(v));
    if (step && *step == 0)
        return jinja_render_fail(r, "slice step cannot be zero");
    int64_t n = (int64_t)len, by = step ? *step : 1;
    if (by > n + 1 || by < -n - 1)
        by = by < 0 ? -n - 1 : n + 1;
    int64_t begin = clip(from, n, by, by < 0 ? n - 1 : 0);
    size_t items = count(begin, clip(to, n, by, by < 0 ? -1 : n), by);
    jinja_render_work(r, items);
    if (v.kind == JINJA_STRING)
        return text_slice(r, v.string, len, begin, items, by);
    if (v.kind == JINJA_RANGE)
        return range_slice(r, v.range, begin, items, by);
    return list_slice(r, v, begin, items, by);
}

struct jinja_value jinja_sequence_reverse(struct jinja_render *r, struct jinja_value v)
{
    struct jinja_value list = jinja_sequence_list(r, v);
    for (size_t i = 0; !r->failed && i < list.list->n / 2; i++) {
        struct jinja_value swap = list.list->items[i];
        list.list->items[i] = list.list->items[list.list->n - 1 - i];
        list.list->items[list.list->n - 1 - i] = swap;
    }
    return list;
}

struct jinja_value jinja_sequence_pair(struct jinja_render *r, struct jinja_value a,
                                       struct jinja_value b)
{
    struct jinja_value pair = jinja_render_list(r);
    if (r->failed || !jinja_render_add(r, pair.list, a) ||
        !jinja_render_add(r, pair.list, b))
        return (struct jinja_value){0};
    pair.kind = JINJA_TUPLE;
    return pair;
}
