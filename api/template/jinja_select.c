/*
 * Choosing and mapping items. Runs on the render's thread; refuses, by failing it, names
 * of filters and tests that do not exist, where an item reaches them.
 *
 * The items are chosen at once, not when they are asked for: nothing but a failure could
 * tell the difference, for filters and tests change nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_select.h"

#include "api/template/jinja_arithmetic.h"
#include "api/template/jinja_attribute.h"
#include "api/template/jinja_filter.h"
#include "api/template/jinja_lexer.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_test.h"
#include "api/template/jinja_text.h"

#include <string.h>

static struct jinja_value iterator(struct jinja_render *r, const char *type)
{
    struct jinja_value v = jinja_render_list(r);
    if (r->failed)
        return v;
    v.kind = JINJA_ITERATOR;
    v.list->type = type;
    return v;
}

/* The arguments behind the first n. */
static struct jinja_args behind(const struct jinja_args *args, size_t n)
{
    return (struct jinja_args){.at = args->at + n,
                               .n = args->n - n,
                               .named = args->named,
                               .n_named = args->n_named};
}

typedef const struct jinja_builtin *find_fn(const char *name, size_t len);

/* The row that argument i names; fails where there is none. */
static const struct jinja_builtin *row_at(struct jinja_render *r,
                                          const struct jinja_args *args, size_t i,
                                          find_fn *find, const char *what)
{
    struct jinja_value name = args->at[i];
    const struct jinja_builtin *row =
        name.kind == JINJA_STRING ? find(name.string->text, name.string->len) : NULL;
    if (!row && name.kind == JINJA_STRING)
        jinja_render_fail(r, "there is no %s '%.*s'", what, (int)name.string->len,
                          name.string->text);
    else if (!row)
        jinja_render_fail(r, "the name of a %s is text, found %s", what,
                          jinja_print_type(name));
    return row;
}

/* Whether the item passes: the test of argument `off`, truth where there is none. */
static bool passes(struct jinja_render *r, struct jinja_value item,
                   const struct jinja_args *args, size_t off)
{
    if (args->n <= off)
        return jinja_operator_truth(item);
    const struct jinja_builtin *row = row_at(r, args, off, jinja_test_find, "test");
    if (!row)
        return false;
    struct jinja_args rest = behind(args, off + 1);
    return jinja_operator_truth(jinja_builtin_call(r, row, item, &rest));
}

static struct jinja_value choose(struct jinja_render *r, struct jinja_value self,
                                 const struct jinja_args *args, bool by_attr, bool wanted)
{
    struct jinja_value out = iterator(r, "generator"), item;
    struct jinja_cursor c;
    if (!jinja_operator_truth(self) || !jinja_sequence_begin(r, self, &c))
        return out;
    if (by_attr && args->n == 0)
        return jinja_render_fail(r, "the name of an attribute is missing");
    while (!r->failed && jinja_sequence_next(r, &c, &item)) {
        struct jinja_value of =
            by_attr ? jinja_attribute_path(r, item, args->at[0]) : item;
        if (!r->failed && passes(r, of, args, by_attr) == wanted)
            jinja_render_add(r, out.list, item);
    }
    return out;
}

struct jinja_value jinja_select(struct jinja_render *r, struct jinja_value self,
                                const struct jinja_args *args)
{
    return choose(r, self, args, false, true);
}

struct jinja_value jinja_select_reject(struct jinja_render *r, struct jinja_value self,
                                       const struct jinja_args *args)
{
    return choose(r, self, args, false, false);
}

struct jinja_value jinja_select_attr(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args)
{
    return choose(r, self, args, true, true);
}

struct jinja_value jinja_select_rejectattr(struct jinja_render *r,
                                           struct jinja_value self,
                                           const struct jinja_args *args)
{
    return choose(r, self, args, true, false);
}

static const struct jinja_value *named(const struct jinja_args *args, const char *name)
{
    for (size_t i = 0; i < args->n_named; i++) {
        const struct jinja_string *s = args->named[i].name.string;
        if (s->len == strlen(name) && memcmp(s->text, name, s->len) == 0)
            return &args->named[i].value;
    }
    return NULL;
}

/* One item: an attribute of it, or what a filter makes of it. */
static struct jinja_value map_item(struct jinja_render *r, struct jinja_value item,
                                   const struct jinja_args *args)
{
    const struct jinja_value *attribute = args->n == 0 ? named(args, "attribute") : NULL;
    if (attribute) {
        const struct jinja_value *other = named(args, "default");
        struct jinja_value v = jinja_attribute_path(r, item, *attribute);
        return other && v.kind == JINJA_UNDEFINED ? *other : v;
    }
    if (args->n == 0)
        return jinja_render_fail(r, "map requires a filter argument");
    const struct jinja_builtin *row = row_at(r, args, 0, jinja_filter_find, "filter");
    struct jinja_args rest = behind(args, 1);
    return row ? jinja_builtin_call(r, row, item, &rest) : item;
}

struct jinja_value jinja_select_map(struct jinja_render *r, struct jinja_value self,
                                    const struct jinja_args *args)
{
    struct jinja_value out = iterator(r, "generator"), item;
    struct jinja_cursor c;
    if (!jinja_operator_truth(self) || !jinja_sequence_begin(r, self, &c))
        return out;
    while (!r->failed && jinja_sequence_next(r, &c, &item)) {
        item = map_item(r, item, args);
        if (!r->failed)
            jinja_render_add(r, out.list, item);
    }
    return out;
}

struct jinja_value jinja_select_items(struct jinja_render *r, struct jinja_value self,
                                      const struct jinja_args *args)
{
    (void)args;
    struct jinja_value out = iterator(r, "generator");
    if (self.kind == JINJA_UNDEFINED || r->failed)
        return out;
    if (self.kind != JINJA_DICT)
        return jinja_render_fail(r, "can only get item pairs from a mapping, found %s",
                                 jinja_print_type(self));
    for (size_t i = 0; i < self.dict->n && jinja_render_work(r, 0); i++) {
        const struct jinja_entry *e = &self.dict->entries[i];
        jinja_render_add(r, out.list, jinja_sequence_pair(r, e->key, e->value));
    }
    return out;
}

struct jinja_value jinja_select_list(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args)
{
    (void)args;
    return jinja_sequence_list(r, self);
}

struct jinja_value jinja_select_first(struct jinja_render *r, struct jinja_value self,
                                      const struct jinja_args *args)
{
    (void)args;
    struct jinja_cursor c;
    struct jinja_value item;
    if (jinja_sequence_begin(r, self, &c) && jinja_sequence_next(r, &c, &item))
        return item;
    return (struct jinja_value){.name = "the first item of what is empty"};
}

struct jinja_value jinja_select_last(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args)
{
    (void)args;
    struct jinja_value item;
    if (jinja_sequence_at(r, self, -1, &item))
        return item;
    if (self.kind == JINJA_DICT && self.dict->n > 0)
        return self.dict->entries[self.dict->n - 1].key;
    if (self.kind == JINJA_VIEW && self.list->n > 0)
        return self.list->items[self.list->n - 1];
    if (self.kind == JINJA_ITERATOR || !jinja_sequence_iterable(self))
        return jinja_render_fail(r, "'%s' object is not reversible",
                                 jinja_print_type(self));
    return (struct jinja_value){.name = "the last item of what is empty"};
}

struct jinja_value jinja_select_join(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args)
{
    static const struct jinja_string none = {.text = ""};
    struct jinja_cursor c;
    struct jinja_value list, item;
    const struct jinja_string *sep =
        args->param[0] ? jinja_builtin_str(r, *args->param[0]) : &none;
    if (!jinja_builtin_given(args, 1))
        return jinja_text_join(r, sep, self, false);
    list = jinja_render_list(r);
    if (!jinja_sequence_begin(r, self, &c))
        return self;
    while (!r->failed && jinja_sequence_next(r, &c, &item)) {
        item = jinja_attribute_path(r, item, *args->param[1]);
        if (!r->failed)
            jinja_render_add(r, list.list, item);
    }
    return r->failed ? self : jinja_text_join(r, sep, list, false);
}

struct jinja_value jinja_select_reverse(struct jinja_render *r, struct jinja_value self,
                                        const struct jinja_args *args)
{
    (void)args;
    static const int64_t back = -1;
    if (self.kind == JINJA_STRING)
        return jinja_sequence_slice(r, self, NULL, NULL, &back);
    struct jinja_value v = jinja_sequence_reverse(r, self);
    if (r->failed || self.kind == JINJA_ITERATOR)
        return v;
    v.kind = JINJA_ITERATOR;
    v.list->type = "list_reverseiterator";
    return v;
}

struct jinja_value jinja_select_sum(struct jinja_render *r, struct jinja_value self,
                                    const struct jinja_args *args)
{
    struct jinja_cursor c;
    struct jinja_value sum = args->param[1] ? *args->param[1] : jinja_int(0), item;
    if (sum.kind == JINJA_STRING)
        return jinja_render_fail(r, "sum takes no texts, join does");
    if (!jinja_sequence_begin(r, self, &c))
        return sum;
    while (!r->failed && jinja_sequence_next(r, &c, &item)) {
        if (jinja_builtin_given(args, 0))
            item = jinja_attribute_path(r, item, *args->param[0]);
        if (!r->failed)
            sum = jinja_arithmetic(r, JINJA_T_ADD, sum, item);
    }
    return sum;
}
