/*
 * Methods of texts, dicts and lists: rows of tables. Runs on the render's thread. What
 * would change a value is in the tables without a function: refused, as the immutable
 * sandbox does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_method.h"

#include "api/template/jinja_case.h"
#include "api/template/jinja_format_braces.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_space.h"
#include "api/template/jinja_text.h"
#include "engine/base/utf8.h"

#include <string.h>

#define METHOD(name)                                                                     \
    static struct jinja_value name(struct jinja_render *r, struct jinja_value self,      \
                                   const struct jinja_args *args)

/* ---- texts ---- */

/* Parameter i, NULL where it is not given or none. */
static const struct jinja_string *text_or_null(struct jinja_render *r,
                                               const struct jinja_args *args, size_t i)
{
    return jinja_builtin_given(args, i) ? jinja_builtin_text(r, args, i) : NULL;
}

METHOD(strip)
{
    return jinja_text_strip(r, self.string, text_or_null(r, args, 0),
                            JINJA_TEXT_LEFT | JINJA_TEXT_RIGHT);
}

METHOD(lstrip)
{
    return jinja_text_strip(r, self.string, text_or_null(r, args, 0), JINJA_TEXT_LEFT);
}

METHOD(rstrip)
{
    return jinja_text_strip(r, self.string, text_or_null(r, args, 0), JINJA_TEXT_RIGHT);
}

METHOD(split)
{
    int64_t most = jinja_builtin_int(r, args, 1, -1);
    return jinja_text_split(r, self.string, text_or_null(r, args, 0), most);
}

METHOD(rsplit)
{
    int64_t most = jinja_builtin_int(r, args, 1, -1);
    return jinja_text_rsplit(r, self.string, text_or_null(r, args, 0), most);
}

METHOD(splitlines)
{
    return jinja_text_lines(r, self.string, jinja_builtin_bool(args, 0, false));
}

METHOD(upper)
{
    (void)args;
    return jinja_case_upper(r, self.string);
}

METHOD(lower)
{
    (void)args;
    return jinja_case_lower(r, self.string);
}

METHOD(title)
{
    (void)args;
    return jinja_case_title(r, self.string);
}

METHOD(capitalize)
{
    (void)args;
    return jinja_case_capitalize(r, self.string);
}

METHOD(format)
{
    struct jinja_value named = jinja_render_dict(r);
    for (size_t i = 0; i < args->n_named && !r->failed; i++)
        jinja_render_put(r, named.dict, args->named[i].name, args->named[i].value);
    if (r->failed)
        return named;
    return jinja_format_braces(r, self.string, args->at, args->n, named.dict);
}

METHOD(replace)
{
    const struct jinja_string *old = jinja_builtin_text(r, args, 0);
    const struct jinja_string *new = jinja_builtin_text(r, args, 1);
    int64_t most = jinja_builtin_int(r, args, 2, -1);
    if (r->failed)
        return self;
    struct jinja_value v = jinja_text_replace(r, self.string, old, new, most);
    return self.string->safe ? jinja_string_safe(r, v) : v;
}

static bool stands_at(const struct jinja_string *s, const struct jinja_string *sub,
                      bool end)
{
    return sub->len <= s->len &&
           memcmp(s->text + (end ? s->len - sub->len : 0), sub->text, sub->len) == 0;
}

/* s[start:stop] of a method that takes them. */
static const struct jinja_string *part(struct jinja_render *r, struct jinja_value self,
                                       const struct jinja_args *args, size_t first)
{
    bool from = jinja_builtin_given(args, first),
         to = jinja_builtin_given(args, first + 1);
    if (!from && !to)
        return self.string;
    int64_t start = from ? jinja_builtin_int(r, args, first, 0) : 0;
    int64_t stop = to ? jinja_builtin_int(r, args, first + 1, 0) : 0;
    struct jinja_value v =
        jinja_sequence_slice(r, self, from ? &start : NULL, to ? &stop : NULL, NULL);
    return r->failed ? self.string : v.string;
}

/* The first argument is a text or a tuple of texts. */
static struct jinja_value begins_or_ends(struct jinja_render *r, struct jinja_value self,
                                         const struct jinja_args *args, bool end)
{
    const struct jinja_string *s = part(r, self, args, 1);
    struct jinja_value of = *args->param[0];
    if (of.kind != JINJA_TUPLE)
        return jinja_bool(stands_at(s, jinja_builtin_text(r, args, 0), end));
    for (size_t i = 0; i < of.list->n; i++) {
        struct jinja_value sub = of.list->items[i];
        if (sub.kind != JINJA_STRING)
            return jinja_render_fail(r, "a tuple of str is expected, found %s in it",
                                     jinja_print_type(sub));
        if (stands_at(s, sub.string, end))
            return jinja_bool(true);
    }
    return jinja_bool(false);
}

METHOD(startswith)
{
    return begins_or_ends(r, self, args, false);
}

METHOD(endswith)
{
    return begins_or_ends(r, self, args, true);
}

/* The code point where the argument stands; -1: nowhere. */
static int64_t index_of(struct jinja_render *r, struct jinja_value self,
                        const struct jinja_args *args, bool last)
{
    const struct jinja_string *s = part(r, self, args, 1);
    int64_t at = jinja_text_find(r, s, jinja_builtin_text(r, args, 0), last);
    if (at < 0)
        return -1;
    return (int64_t)utf8_count(self.string->text,
                               (size_t)(s->text - self.string->text + at));
}

METHOD(find)
{
    return jinja_int(index_of(r, self, args, false));
}

METHOD(rfind)
{
    return jinja_int(index_of(r, self, args, true));
}

METHOD(text_index)
{
    int64_t at = index_of(r, self, args, false);
    return at < 0 ? jinja_render_fail(r, "substring not found") : jinja_int(at);
}

METHOD(text_count)
{
    const struct jinja_string *s = self.string, *sub = jinja_builtin_text(r, args, 0);
    int64_t n = 0;
    if (sub->len == 0)
        return jinja_int((int64_t)utf8_count(s->text, s->len) + 1);
    jinja_render_work(r, s->len);
    const char *at = s->text, *end = s->text + s->len;
    for (; (at = memmem(at, (size_t)(end - at), sub->text, sub->len)); at += sub->len)
        n++;
    return jinja_int(n);
}

METHOD(text_join)
{
    return jinja_text_join(r, self.string, *args->param[0], true);
}

METHOD(removeprefix)
{
    const struct jinja_string *s = self.string, *sub = jinja_builtin_text(r, args, 0);
    return stands_at(s, sub, false) ? jinja_string_cut(r, s, sub->len, s->len - sub->len)
                                    : self;
}

METHOD(removesuffix)
{
    const struct jinja_string *s = self.string, *sub = jinja_builtin_text(r, args, 0);
    return stands_at(s, sub, true) ? jinja_string_cut(r, s, 0, s->len - sub->len) : self;
}

static bool all_in(const struct jinja_string *s, char low, char high)
{
    for (size_t i = 0; i < s->len; i++)
        if (s->text[i] < low || s->text[i] > high)
            return false;
    return s->len > 0;
}

/* Of ASCII; other digits are none here. */
METHOD(is_digit)
{
    (void)r;
    (void)args;
    return jinja_bool(all_in(self.string, '0', '9'));
}

METHOD(is_space)
{
    (void)r;
    (void)args;
    const struct jinja_string *s = self.string;
    return jinja_bool(s->len > 0 && jinja_space_begin(s->text, s->len) == s->len);
}

static const struct jinja_builtin text_methods[] = {
    {"capitalize", capitalize, "", 0},
    {"count", text_count, "sub", 1},
    {"endswith", endswith, "suffix start end", 1},
    {"find", find, "sub start end", 1},
    {"format", format, "*", 0},
    {"index", text_index, "sub start end", 1},
    {"isdigit", is_digit, "", 0},
    {"isspace", is_space, "", 0},
    {"join", text_join, "iterable", 1},
    {"lower", lower, "", 0},
    {"lstrip", lstrip, "chars", 0},
    {"removeprefix", removeprefix, "prefix", 1},
    {"removesuffix", removesuffix, "suffix", 1},
    {"replace", replace, "old new count", 2},
    {"rfind", rfind, "sub start end", 1},
    {"rsplit", rsplit, "sep maxsplit", 0},
    {"rstrip", rstrip, "chars", 0},
    {"split", split, "sep maxsplit", 0},
    {"splitlines", splitlines, "keepends", 0},
    {"startswith", startswith, "prefix start end", 1},
    {"strip", strip, "chars", 0},
    {"title", title, "", 0},
    {"upper", upper, "", 0},
};

/* ---- dicts ---- */

static struct jinja_value view(struct jinja_render *r, const char *type)
{
    struct jinja_value v = jinja_render_list(r);
    if (r->failed)
        return v;
    v.kind = JINJA_VIEW;
    v.list->type = type;
    return v;
}

METHOD(keys)
{
    (void)args;
    struct jinja_value v = view(r, "dict_keys");
    for (size_t i = 0; i < self.dict->n && jinja_render_work(r, 0); i++)
        jinja_render_add(r, v.list, self.dict->entries[i].key);
    return v;
}

METHOD(values)
{
    (void)args;
    struct jinja_value v = view(r, "dict_values");
    for (size_t i = 0; i < self.dict->n && jinja_render_work(r, 0); i++)
        jinja_render_add(r, v.list, self.dict->entries[i].value);
    return v;
}

METHOD(items)
{
    (void)args;
    struct jinja_value v = view(r, "dict_items");
    for (size_t i = 0; i < self.dict->n && jinja_render_work(r, 0); i++) {
        const struct jinja_entry *e = &self.dict->entries[i];
        jinja_render_add(r, v.list, jinja_sequence_pair(r, e->key, e->value));
    }
    return v;
}

METHOD(get)
{
    struct jinja_value key = *args->param[0];
    if (!jinja_hashable(key))
        return jinja_render_fail(r, "unhashable type: '%s'", jinja_print_type(key));
    const struct jinja_entry *e = jinja_dict_find(self.dict, key);
    if (e)
        return e->value;
    return args->param[1] ? *args->param[1] : jinja_none();
}

METHOD(copy_dict)
{
    (void)args;
    struct jinja_value v = jinja_render_dict(r);
    for (size_t i = 0; i < self.dict->n && jinja_render_work(r, 0); i++)
        jinja_render_put(r, v.dict, self.dict->entries[i].key,
                         self.dict->entries[i].value);
    return v;
}

static const struct jinja_builtin dict_methods[] = {
    {"clear", NULL, "*", 0},        {"copy", copy_dict, "", 0},
    {"get", get, "key default", 1}, {"items", items, "", 0},
    {"keys", keys, "", 0},          {"pop", NULL, "*", 0},
    {"popitem", NULL, "*", 0},      {"setdefault", NULL, "*", 0},
    {"update", NULL, "*", 0},       {"values", values, "", 0},
};

/* ---- lists ---- */

METHOD(list_index)
{
    for (size_t i = 0; i < self.list->n && !r->failed; i++)
        if (jinja_operator_equal(r, self.list->items[i], *args->param[0]))
            return jinja_int((int64_t)i);
    return jinja_render_fail(r, "the value is not in the list");
}

METHOD(list_count)
{
    int64_t n = 0;
    for (size_t i = 0; i < self.list->n && !r->failed; i++)
        n += jinja_operator_equal(r, self.list->items[i], *args->param[0]);
    return jinja_int(n);
}

METHOD(copy_list)
{
    (void)args;
    return jinja_sequence_list(r, self);
}

static const struct jinja_builtin list_methods[] = {
    {"index", list_index, "value", 1},
    {"count", list_count, "value", 1},
    {"copy", copy_list, "", 0},
    {"append", NULL, "*", 0},
    {"clear", NULL, "*", 0},
    {"extend", NULL, "*", 0},
    {"insert", NULL, "*", 0},
    {"pop", NULL, "*", 0},
    {"remove", NULL, "*", 0},
    {"reverse", NULL, "*", 0},
    {"sort", NULL, "*", 0},
};
enum { N_OF_TUPLES = 2 }; /* the first ones */

#define FIND(rows, n) jinja_builtin_find(rows, n, name, len)
#define COUNT(rows)   (sizeof rows / sizeof *rows)

const struct jinja_builtin *jinja_method_find(struct jinja_value of, const char *name,
                                              size_t len)
{
    switch (of.kind) {
    case JINJA_STRING:
        return FIND(text_methods, COUNT(text_methods));
    case JINJA_DICT:
        return FIND(dict_methods, COUNT(dict_methods));
    case JINJA_LIST:
        return FIND(list_methods, COUNT(list_methods));
    case JINJA_TUPLE:
        return FIND(list_methods, N_OF_TUPLES);
    default:
        return NULL;
    }
}
