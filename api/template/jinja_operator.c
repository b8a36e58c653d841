/*
 * Truth, equality, order and membership. Runs on the render's thread; refuses by failing
 * it. Arithmetic is jinja_arithmetic.c's.
 *
 * The subtle point: comparing counts its work, since values may share their parts so
 * that a walk over them takes far longer than making them did.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_operator.h"

#include "api/template/jinja_lexer.h"
#include "api/template/jinja_node.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"

#include <string.h>

bool jinja_operator_truth(struct jinja_value v)
{
    switch (v.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v.truth;
    case JINJA_INT:
        return v.integer != 0;
    case JINJA_REAL:
        return v.real != 0;
    case JINJA_STRING:
        return v.string->len > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_VIEW:
        return v.list->n > 0;
    case JINJA_RANGE:
        return v.range->n > 0;
    case JINJA_DICT:
        return v.dict->n > 0;
    default:
        return true;
    }
}

struct jinja_value jinja_operator_undefined(struct jinja_render *r, struct jinja_value v)
{
    return jinja_render_fail(r, "'%s' is undefined", v.name ? v.name : "a value");
}

static bool is_number(struct jinja_value v)
{
    return v.kind == JINJA_BOOL || v.kind == JINJA_INT || v.kind == JINJA_REAL;
}

/* Exact for 64 bits: a long double has that many, or more. */
static long double number_of(struct jinja_value v)
{
    if (v.kind == JINJA_REAL)
        return v.real;
    return v.kind == JINJA_BOOL ? v.truth : v.integer;
}

static bool equal_texts(struct jinja_render *r, const struct jinja_string *a,
                        const struct jinja_string *b)
{
    return a->len == b->len && jinja_render_work(r, a->len) &&
           memcmp(a->text, b->text, a->len) == 0;
}

static bool equal_lists(struct jinja_render *r, const struct jinja_list *a,
                        const struct jinja_list *b)
{
    if (a == b)
        return true;
    if (a->n != b->n || !jinja_render_enter(r))
        return false;
    bool equal = true;
    for (size_t i = 0; equal && i < a->n; i++)
        equal = jinja_operator_equal(r, a->items[i], b->items[i]);
    jinja_render_leave(r);
    return equal;
}

static bool equal_dicts(struct jinja_render *r, const struct jinja_dict *a,
                        const struct jinja_dict *b)
{
    if (a == b)
        return true;
    if (a->n != b->n || !jinja_render_enter(r))
        return false;
    bool equal = true;
    for (size_t i = 0; equal && i < a->n; i++) {
        const struct jinja_entry *e = jinja_dict_find(b, a->entries[i].key);
        equal = e && jinja_operator_equal(r, a->entries[i].value, e->value);
    }
    jinja_render_leave(r);
    return equal;
}

static bool equal_ranges(const struct jinja_range *a, const struct jinja_range *b)
{
    return a->n == b->n && (a->n == 0 || a->start == b->start) &&
           (a->n <= 1 || a->step == b->step);
}

bool jinja_operator_equal(struct jinja_render *r, struct jinja_value a,
                          struct jinja_value b)
{
    if (!jinja_render_work(r, 0))
        return false;
    if (is_number(a) && is_number(b))
        return number_of(a) == number_of(b);
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return true;
    case JINJA_STRING:
        return equal_texts(r, a.string, b.string);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return equal_lists(r, a.list, b.list);
    case JINJA_DICT:
        return equal_dicts(r, a.dict, b.dict);
    case JINJA_RANGE:
        return equal_ranges(a.range, b.range);
    default:
        return a.callable == b.callable;
    }
}

static int order_texts(struct jinja_render *r, const struct jinja_string *a,
                       const struct jinja_string *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    jinja_render_work(r, n);
    int order = memcmp(a->text, b->text, n);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int order_lists(struct jinja_render *r, const struct jinja_list *a,
                       const struct jinja_list *b, const char *sign)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int order = 0;
    if (!jinja_render_enter(r))
        return 0;
    for (size_t i = 0; order == 0 && i < n && !r->failed; i++)
        if (!jinja_operator_equal(r, a->items[i], b->items[i]))
            order = jinja_operator_order(r, a->items[i], b->items[i], sign);
    jinja_render_leave(r);
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

int jinja_operator_order(struct jinja_render *r, struct jinja_value a,
                         struct jinja_value b, const char *sign)
{
    if (!jinja_render_work(r, 0))
        return 0;
    if (is_number(a) && is_number(b)) {
        long double x = number_of(a), y = number_of(b);
        return (x > y) - (x < y);
    }
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING)
        return order_texts(r, a.string, b.string);
    if (a.kind == b.kind && (a.kind == JINJA_LIST || a.kind == JINJA_TUPLE))
        return order_lists(r, a.list, b.list, sign);
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        jinja_operator_undefined(r, a.kind == JINJA_UNDEFINED ? a : b);
    jinja_render_fail(r, "'%s' not supported between instances of '%s' and '%s'", sign,
                      jinja_print_type(a), jinja_print_type(b));
    return 0;
}

static bool contains_text(struct jinja_render *r, const struct jinja_string *all,
                          struct jinja_value one)
{
    if (one.kind == JINJA_UNDEFINED)
        jinja_operator_undefined(r, one);
    if (one.kind != JINJA_STRING)
        jinja_render_fail(r, "'in <string>' requires string as left operand, not %s",
                          jinja_print_type(one));
    if (r->failed || !jinja_render_work(r, all->len))
        return false;
    return memmem(all->text, all->len, one.string->text, one.string->len) != NULL;
}

bool jinja_operator_contains(struct jinja_render *r, struct jinja_value all,
                             struct jinja_value one)
{
    struct jinja_cursor c;
    struct jinja_value item;
    if (all.kind == JINJA_STRING)
        return contains_text(r, all.string, one);
    if (all.kind == JINJA_DICT && !jinja_hashable(one))
        jinja_render_fail(r, "unhashable type: '%s'", jinja_print_type(one));
    if (all.kind == JINJA_DICT)
        return jinja_dict_find(all.dict, one) != NULL;
    if (!jinja_sequence_iterable(all)) {
        jinja_render_fail(r, "argument of type '%s' is not iterable",
                          jinja_print_type(all));
        return false;
    }
    jinja_sequence_begin(r, all, &c);
    while (jinja_sequence_next(r, &c, &item))
        if (jinja_operator_equal(r, item, one))
            return true;
    return false;
}

bool jinja_operator_compare(struct jinja_render *r, int op, struct jinja_value a,
                            struct jinja_value b)
{
    /* Nothing is above or below a value that is no number. */
    bool no_order = (a.kind == JINJA_REAL && a.real != a.real && is_number(b)) ||
                    (b.kind == JINJA_REAL && b.real != b.real && is_number(a));
    switch (op) {
    case JINJA_T_EQ:
        return jinja_operator_equal(r, a, b);
    case JINJA_T_NE:
        return !jinja_operator_equal(r, a, b);
    case JINJA_T_LT:
        return !no_order && jinja_operator_order(r, a, b, "<") < 0;
    case JINJA_T_LE:
        return !no_order && jinja_operator_order(r, a, b, "<=") <= 0;
    case JINJA_T_GT:
        return !no_order && jinja_operator_order(r, a, b, ">") > 0;
    case JINJA_T_GE:
        return !no_order && jinja_operator_order(r, a, b, ">=") >= 0;
    case JINJA_OP_IN:
        return jinja_operator_contains(r, b, a);
    default:
        return !jinja_operator_contains(r, b, a);
    }
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\'':
        return "&#39;";
    case '"':
        return "&#34;";
    default:
        return NULL;
    }
}

void jinja_operator_escape(struct jinja_builder *b, const struct jinja_string *s)
{
    size_t from = 0;
    for (size_t i = 0; !s->safe && i < s->len; i++) {
        const char *text = entity(s->text[i]);
        if (!text)
            continue;
        jinja_string_slice(b, s, from, i - from);
        jinja_string_put(b, text, strlen(text), jinja_string_mark(s, i));
        from = i + 1;
    }
    jinja_string_slice(b, s, from, s->len - from);
}
