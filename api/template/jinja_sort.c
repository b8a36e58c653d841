/*
 * A stable merge sort by keys that are made once. Runs on the render's thread; fails it
 * where keys do not compare. Every comparison is a step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_sort.h"

#include "api/template/jinja_attribute.h"
#include "api/template/jinja_case.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_sequence.h"

#include <string.h>

struct keyed {
    struct jinja_value key, item;
};

struct sorter {
    struct jinja_render *r;
    struct keyed *from, *to; /* [n], in turns */
    size_t n;
    bool reverse;
};

static struct jinja_value fold(struct jinja_render *r, struct jinja_value key,
                               bool case_sensitive)
{
    if (case_sensitive || key.kind != JINJA_STRING)
        return key;
    return jinja_case_lower(r, key.string);
}

/* Below, equal or above, as `<` has it: what is equal need not have an order. */
static int order(struct sorter *s, struct jinja_value a, struct jinja_value b)
{
    if (jinja_operator_equal(s->r, a, b))
        return 0;
    int order = jinja_operator_order(s->r, a, b, "<");
    return s->reverse ? -order : order;
}

/* Merges the halves [a, mid) and [mid, b). */
static void merge(struct sorter *s, size_t a, size_t mid, size_t b)
{
    size_t i = a, j = mid;
    for (size_t k = a; k < b && !s->r->failed; k++) {
        bool left = j == b || (i < mid && order(s, s->from[j].key, s->from[i].key) >= 0);
        s->to[k] = left ? s->from[i++] : s->from[j++];
    }
}

static void sort(struct sorter *s)
{
    for (size_t width = 1; width < s->n && !s->r->failed; width *= 2) {
        for (size_t a = 0; a < s->n && !s->r->failed; a += 2 * width) {
            size_t mid = a + width < s->n ? a + width : s->n;
            merge(s, a, mid, mid + width < s->n ? mid + width : s->n);
        }
        struct keyed *swap = s->from;
        s->from = s->to;
        s->to = swap;
    }
}

/* The sorted items as a list; keys[i] is item i's. */
static struct jinja_value sorted(struct jinja_render *r, const struct jinja_list *items,
                                 const struct jinja_list *keys, bool reverse)
{
    size_t bytes = items->n * sizeof(struct keyed);
    struct sorter s = {.r = r, .n = items->n, .reverse = reverse};
    struct jinja_value out = jinja_render_list(r);
    s.from = jinja_render_alloc(r, bytes);
    s.to = jinja_render_alloc(r, bytes);
    if (r->failed)
        return out;
    for (size_t i = 0; i < s.n; i++)
        s.from[i] = (struct keyed){keys->items[i], items->items[i]};
    sort(&s);
    for (size_t i = 0; i < s.n && !r->failed; i++)
        jinja_render_add(r, out.list, s.from[i].item);
    return out;
}

/* A path, or several with commas between them: then a tuple of what they name. */
static struct jinja_value sort_key(struct jinja_render *r, struct jinja_value item,
                                   struct jinja_value path, bool case_sensitive)
{
    bool several = path.kind == JINJA_STRING && path.string->len > 0 &&
                   memchr(path.string->text, ',', path.string->len);
    if (!several)
        return fold(r, jinja_attribute_path(r, item, path), case_sensitive);
    struct jinja_value key = jinja_render_list(r);
    const char *s = path.string->text, *end = s + path.string->len;
    while (!r->failed) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        struct jinja_string part = {.text = s,
                                    .len = (size_t)((comma ? comma : end) - s)};
        struct jinja_value name = {.kind = JINJA_STRING, .string = &part};
        struct jinja_value v = jinja_attribute_path(r, item, name);
        jinja_render_add(r, key.list, fold(r, v, case_sensitive));
        if (!comma)
            break;
        s = comma + 1;
    }
    return key;
}

static struct jinja_value param_or_none(const struct jinja_args *args, size_t i)
{
    return args->param[i] ? *args->param[i] : jinja_none();
}

struct jinja_value jinja_sort(struct jinja_render *r, struct jinja_value self,
                              const struct jinja_args *args)
{
    bool case_sensitive = jinja_builtin_bool(args, 1, false);
    struct jinja_value items = jinja_sequence_list(r, self), keys = jinja_render_list(r);
    for (size_t i = 0; !r->failed && i < items.list->n; i++)
        jinja_render_add(
            r, keys.list,
            sort_key(r, items.list->items[i], param_or_none(args, 2), case_sensitive));
    if (r->failed)
        return items;
    return sorted(r, items.list, keys.list, jinja_builtin_bool(args, 0, false));
}

/* 0: by key, 1: by value; -1 after a failure. */
static int sort_by(struct jinja_render *r, const struct jinja_args *args)
{
    const struct jinja_string *by = jinja_builtin_text(r, args, 1);
    if (!args->param[1] || (by->len == 3 && memcmp(by->text, "key", 3) == 0))
        return 0;
    if (by->len == 5 && memcmp(by->text, "value", 5) == 0)
        return 1;
    jinja_render_fail(r, "dictsort sorts by \"key\" or \"value\"");
    return -1;
}

struct jinja_value jinja_sort_dict(struct jinja_render *r, struct jinja_value self,
                                   const struct jinja_args *args)
{
    int by = sort_by(r, args);
    bool case_sensitive = jinja_builtin_bool(args, 0, false);
    if (self.kind == JINJA_UNDEFINED)
        return jinja_operator_undefined(r, self);
    if (self.kind != JINJA_DICT)
        return jinja_render_fail(r, "dictsort takes a dict");
    struct jinja_value pairs = jinja_render_list(r), keys = jinja_render_list(r);
    for (size_t i = 0; !r->failed && i < self.dict->n; i++) {
        const struct jinja_entry *e = &self.dict->entries[i];
        jinja_render_add(r, pairs.list, jinja_sequence_pair(r, e->key, e->value));
        jinja_render_add(r, keys.list, fold(r, by ? e->value : e->key, case_sensitive));
    }
    if (r->failed)
        return pairs;
    return sorted(r, pairs.list, keys.list, jinja_builtin_bool(args, 2, false));
}

static struct jinja_value item_key(struct jinja_render *r, struct jinja_value item,
                                   const struct jinja_args *args)
{
    struct jinja_value key = jinja_attribute_path(r, item, param_or_none(args, 1));
    return fold(r, key, jinja_builtin_bool(args, 0, false));
}

struct jinja_value jinja_sort_unique(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args)
{
    struct jinja_value seen = jinja_render_dict(r), out = jinja_render_list(r), item;
    struct jinja_cursor c;
    if (!jinja_sequence_begin(r, self, &c))
        return self;
    while (!r->failed && jinja_sequence_next(r, &c, &item)) {
        struct jinja_value key = item_key(r, item, args);
        if (r->failed || jinja_dict_find(seen.dict, key))
            continue;
        jinja_render_put(r, seen.dict, key, jinja_none());
        jinja_render_add(r, out.list, item);
    }
    if (r->failed)
        return out;
    out.kind = JINJA_ITERATOR;
    out.list->type = "generator";
    return out;
}

static struct jinja_value extreme(struct jinja_render *r, struct jinja_value self,
                                  const struct jinja_args *args, bool highest)
{
    struct jinja_cursor c;
    struct jinja_value best = {.name = "the extreme item of what is empty"};
    struct jinja_value best_key = {0}, item;
    bool any = false;
    if (!jinja_sequence_begin(r, self, &c))
        return best;
    while (!r->failed && jinja_sequence_next(r, &c, &item)) {
        struct jinja_value key = item_key(r, item, args);
        int order = !any || r->failed
                        ? 0
                        : jinja_operator_order(r, key, best_key, highest ? ">" : "<");
        if (any && (highest ? order <= 0 : order >= 0))
            continue;
        any = true;
        best = item;
        best_key = key;
    }
    return best;
}

struct jinja_value jinja_sort_min(struct jinja_render *r, struct jinja_value self,
                                  const struct jinja_args *args)
{
    return extreme(r, self, args, false);
}

struct jinja_value jinja_sort_max(struct jinja_render *r, struct jinja_value self,
                                  const struct jinja_args *args)
{
    return extreme(r, self, args, true);
}
