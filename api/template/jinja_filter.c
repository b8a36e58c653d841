/*
 * The table of filters, and those that make texts and numbers; jinja_select.c and
 * jinja_sort.c have those of lists. Runs on the render's thread.
 *
 * Filters of texts take anything: what is no text is printed first, undefined is empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_filter.h"

#include "api/template/jinja_arithmetic.h"
#include "api/template/jinja_attribute.h"
#include "api/template/jinja_case.h"
#include "api/template/jinja_format_percent.h"
#include "api/template/jinja_json.h"
#include "api/template/jinja_lexer.h"
#include "api/template/jinja_number.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_select.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_sort.h"
#include "api/template/jinja_text.h"

#define FILTER(name)                                                                     \
    static struct jinja_value name(struct jinja_render *r, struct jinja_value self,      \
                                   const struct jinja_args *args)

/* ---- texts ---- */

FILTER(string)
{
    (void)args;
    if (self.kind == JINJA_STRING)
        return self;
    return jinja_string_cut(r, jinja_builtin_str(r, self), 0,
                            jinja_builtin_str(r, self)->len);
}

FILTER(trim)
{
    const struct jinja_string *chars =
        jinja_builtin_given(args, 0) ? jinja_builtin_text(r, args, 0) : NULL;
    return jinja_text_strip(r, jinja_builtin_str(r, self), chars,
                            JINJA_TEXT_LEFT | JINJA_TEXT_RIGHT);
}

FILTER(upper)
{
    (void)args;
    return jinja_case_upper(r, jinja_builtin_str(r, self));
}

FILTER(lower)
{
    (void)args;
    return jinja_case_lower(r, jinja_builtin_str(r, self));
}

FILTER(title)
{
    (void)args;
    return jinja_case_words(r, jinja_builtin_str(r, self));
}

FILTER(capitalize)
{
    (void)args;
    return jinja_case_capitalize(r, jinja_builtin_str(r, self));
}

/* The text, never Markup. */
static struct jinja_string plain(const struct jinja_string *s)
{
    struct jinja_string text = *s;
    text.safe = false;
    return text;
}

FILTER(replace)
{
    struct jinja_string s = plain(jinja_builtin_str(r, self));
    const struct jinja_string *old = jinja_builtin_str(r, *args->param[0]);
    const struct jinja_string *new = jinja_builtin_str(r, *args->param[1]);
    int64_t most = jinja_builtin_given(args, 2) ? jinja_builtin_int(r, args, 2, -1) : -1;
    return r->failed ? self : jinja_text_replace(r, &s, old, new, most);
}

FILTER(indent)
{
    struct jinja_value by = args->param[0] ? *args->param[0] : jinja_int(4);
    if (self.kind != JINJA_STRING)
        return jinja_render_fail(r, "indent takes text, found %s",
                                 jinja_print_type(self));
    if (by.kind != JINJA_STRING)
        by = jinja_arithmetic(r, JINJA_T_MUL, jinja_string_of(r, " ", 1), by);
    if (r->failed)
        return by;
    if (by.kind != JINJA_STRING)
        return jinja_render_fail(r, "indent's width is a number or text");
    return jinja_text_indent(r, self.string, by.string,
                             jinja_builtin_bool(args, 1, false),
                             jinja_builtin_bool(args, 2, false));
}

FILTER(safe)
{
    (void)args;
    const struct jinja_string *s = jinja_builtin_str(r, self);
    return jinja_string_safe(r, jinja_string_cut(r, s, 0, s->len));
}

FILTER(escape)
{
    (void)args;
    struct jinja_builder b;
    jinja_string_begin(&b, r);
    jinja_operator_escape(&b, jinja_builtin_str(r, self));
    return jinja_string_safe(r, jinja_string_end(&b));
}

FILTER(format)
{
    const struct jinja_string *s = jinja_builtin_str(r, self);
    struct jinja_value values =
        args->n_named ? jinja_render_dict(r) : jinja_render_list(r);
    if (args->n_named > 0 && args->n > 0)
        return jinja_render_fail(r,
                                 "format takes arguments by place or by name, not both");
    for (size_t i = 0; i < args->n_named && !r->failed; i++)
        jinja_render_put(r, values.dict, args->named[i].name, args->named[i].value);
    for (size_t i = 0; i < args->n && !r->failed; i++)
        jinja_render_add(r, values.list, args->at[i]);
    if (r->failed)
        return values;
    if (values.kind == JINJA_LIST)
        values.kind = JINJA_TUPLE;
    return jinja_format_percent(r, s, values);
}

/* The indentation of one level: text, or a number of blanks; NULL: none. */
static const struct jinja_string *json_indent(struct jinja_render *r,
                                              const struct jinja_args *args, size_t i)
{
    if (!jinja_builtin_given(args, i))
        return NULL;
    struct jinja_value by = *args->param[i];
    if (by.kind != JINJA_STRING)
        by = jinja_arithmetic(r, JINJA_T_MUL, jinja_string_of(r, " ", 1), by);
    return r->failed || by.kind != JINJA_STRING ? NULL : by.string;
}

static void json_separators(struct jinja_render *r, const struct jinja_args *args,
                            size_t i, struct jinja_json_style *style)
{
    if (!jinja_builtin_given(args, i))
        return;
    struct jinja_value list = jinja_sequence_list(r, *args->param[i]);
    if (r->failed)
        return;
    const struct jinja_value *at = list.list->items;
    if (list.list->n != 2 || at[0].kind != JINJA_STRING || at[1].kind != JINJA_STRING) {
        jinja_render_fail(r, "tojson's separators are two texts");
        return;
    }
    style->item_separator = at[0].string;
    style->key_separator = at[1].string;
}

FILTER(tojson)
{
    struct jinja_json_style style = {.ensure_ascii = jinja_builtin_bool(args, 0, false),
                                     .indent = json_indent(r, args, 1),
                                     .sort_keys = jinja_builtin_bool(args, 3, false)};
    json_separators(r, args, 2, &style);
    struct jinja_builder b;
    jinja_string_begin(&b, r);
    if (!r->failed)
        jinja_json(&b, self, &style);
    return jinja_string_end(&b);
}

/* ---- values ---- */

FILTER(length)
{
    (void)args;
    size_t n;
    if (jinja_sequence_len(r, self, &n))
        return jinja_int((int64_t)n);
    return jinja_render_fail(r, "object of type '%s' has no len()",
                             jinja_print_type(self));
}

FILTER(fallback)
{
    (void)r;
    bool missing = self.kind == JINJA_UNDEFINED ||
                   (jinja_builtin_bool(args, 1, false) && !jinja_operator_truth(self));
    if (!missing)
        return self;
    return args->param[0] ? *args->param[0] : jinja_string_of(r, "", 0);
}

FILTER(attr)
{
    return jinja_attribute(r, self, jinja_builtin_text(r, args, 0));
}

FILTER(absolute)
{
    (void)args;
    struct jinja_value zero = jinja_int(0);
    bool negative = jinja_operator_order(r, self, zero, "abs") < 0;
    return r->failed
               ? self
               : jinja_arithmetic_sign(r, negative ? JINJA_T_SUB : JINJA_T_ADD, self);
}

static const struct jinja_builtin rows[] = {
    {"abs", absolute, "", 0},
    {"attr", attr, "name", 1},
    {"capitalize", capitalize, "", 0},
    {"count", length, "", 0},
    {"d", fallback, "default_value boolean", 0},
    {"default", fallback, "default_value boolean", 0},
    {"dictsort", jinja_sort_dict, "case_sensitive by reverse", 0},
    {"e", escape, "", 0},
    {"escape", escape, "", 0},
    {"first", jinja_select_first, "", 0},
    {"float", jinja_number_real, "default", 0},
    {"format", format, "*", 0},
    {"indent", indent, "width first blank", 0},
    {"int", jinja_number_int, "default base", 0},
    {"items", jinja_select_items, "", 0},
    {"join", jinja_select_join, "d attribute", 0},
    {"last", jinja_select_last, "", 0},
    {"length", length, "", 0},
    {"list", jinja_select_list, "", 0},
    {"lower", lower, "", 0},
    {"map", jinja_select_map, "*", 0},
    {"max", jinja_sort_max, "case_sensitive attribute", 0},
    {"min", jinja_sort_min, "case_sensitive attribute", 0},
    {"reject", jinja_select_reject, "*", 0},
    {"rejectattr", jinja_select_rejectattr, "*", 0},
    {"replace", replace, "old new count", 2},
    {"reverse", jinja_select_reverse, "", 0},
    {"safe", safe, "", 0},
    {"select", jinja_select, "*", 0},
    {"selectattr", jinja_select_attr, "*", 0},
    {"sort", jinja_sort, "reverse case_sensitive attribute", 0},
    {"string", string, "", 0},
    {"sum", jinja_select_sum, "attribute start", 0},
    {"title", title, "", 0},
    {"tojson", tojson, "ensure_ascii indent separators sort_keys", 0},
    {"trim", trim, "chars", 0},
    {"unique", jinja_sort_unique, "case_sensitive attribute", 0},
    {"upper", upper, "", 0},
};

const struct jinja_builtin *jinja_filter_find(const char *name, size_t len)
{
    return jinja_builtin_find(rows, sizeof rows / sizeof *rows, name, len);
}
