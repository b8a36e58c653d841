/*
 * str.format(): fields between braces, each found, converted and brought to its
 * specification. Runs on the render's thread. A specification may have fields itself, as
 * deep as in Python.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_format_braces.h"

#include "api/template/jinja_field.h"
#include "api/template/jinja_print.h"
#include "engine/base/utf8.h"

#include <stdio.h>
#include <string.h>

enum { FORMAT_LEVELS = 3 };

static const char zeros[] = "0"; /* the fill of a width that begins with 0 */

struct braces {
    struct jinja_render *r;
    const struct jinja_value *args;
    size_t n;
    const struct jinja_dict *named;
    size_t next;         /* of the arguments, for {} */
    bool counted, given; /* {} was seen, {0} was seen */
    int level;
};

struct piece { /* of a format: [at, end) */
    const struct jinja_string *s;
    size_t at, end;
};

static void format_into(struct braces *p, struct jinja_builder *b,
                        const struct jinja_string *format);

static void fail(struct braces *p, const char *text)
{
    jinja_render_fail(p->r, "%s", text);
}

/* ---- finding the value ---- */

static struct jinja_value argument_at(struct braces *p, int64_t i)
{
    if (i < (int64_t)p->n)
        return p->args[i];
    return jinja_render_fail(p->r, "the format's argument %lld is not there",
                             (long long)i);
}

static struct jinja_value find_named(struct braces *p, const struct jinja_dict *d,
                                     const struct piece *name)
{
    struct jinja_string text = {.text = name->s->text + name->at,
                                .len = name->end - name->at};
    struct jinja_value key = {.kind = JINJA_STRING, .string = &text};
    const struct jinja_entry *e = d ? jinja_dict_find(d, key) : NULL;
    if (e)
        return e->value;
    return jinja_render_fail(p->r, "the format's name '%.*s' is not there",
                             text.len < 64 ? (int)text.len : 64, text.text);
}

/* The digits that are all of a piece; -1: it is something else. */
static int64_t whole_number(const struct piece *piece)
{
    size_t at = piece->at;
    int64_t value = jinja_field_digits(piece->s, &at);
    return at == piece->end ? value : -1;
}

static struct jinja_value first_value(struct braces *p, const struct piece *name,
                                      bool counted)
{
    int64_t i = whole_number(name);
    p->counted |= counted;
    p->given |= i >= 0;
    if (p->counted && p->given)
        return jinja_render_fail(p->r, "a format numbers all its fields or none");
    if (counted)
        return argument_at(p, (int64_t)p->next++);
    return i >= 0 ? argument_at(p, i) : find_named(p, p->named, name);
}

/* Jinja's getattr and getitem, as far as values have members: undefined where not. */
static struct jinja_value member(struct braces *p, struct jinja_value v,
                                 const struct piece *name, bool item)
{
    int64_t i = item ? whole_number(name) : -1;
    if (v.kind == JINJA_UNDEFINED)
        return jinja_render_fail(p->r, "a member of what is undefined");
    if (v.kind == JINJA_LIST || v.kind == JINJA_TUPLE)
        return i >= 0 && i < (int64_t)v.list->n ? v.list->items[i]
                                                : (struct jinja_value){0};
    if (v.kind != JINJA_DICT && v.kind != JINJA_NAMESPACE)
        return (struct jinja_value){0};
    if (i < 0)
        return jinja_dict_get(v.dict, name->s->text + name->at, name->end - name->at);
    const struct jinja_entry *e = jinja_dict_find(v.dict, jinja_int(i));
    return e ? e->value : (struct jinja_value){0};
}

static size_t find_any(const struct piece *in, size_t from, const char *set)
{
    while (from < in->end && !(in->s->text[from] && strchr(set, in->s->text[from])))
        from++;
    return from;
}

/* name, then .attribute and [item]. */
static struct jinja_value find_value(struct braces *p, const struct piece *field)
{
    struct piece name = {field->s, field->at, find_any(field, field->at, ".[")};
    struct jinja_value v = first_value(p, &name, field->at == field->end);
    while (name.end < field->end && !p->r->failed) {
        bool item = field->s->text[name.end] == '[';
        name.at = name.end + 1;
        name.end = find_any(field, name.at, item ? "]" : ".[");
        if (name.end == name.at || (item && name.end == field->end))
            return jinja_render_fail(p->r, "a format's field is not closed or empty");
        v = member(p, v, &name, item);
        name.end += item;
        if (item && name.end < field->end && !strchr(".[", field->s->text[name.end]))
            return jinja_render_fail(p->r, "a format's field goes on after ]");
    }
    return v;
}

/* ---- the specification ---- */

static bool is_align(char c)
{
    return c && strchr("<>=^", c);
}

static bool take(const struct jinja_string *s, size_t *at, const char *set, char *out)
{
    if (*at >= s->len || !s->text[*at] || !strchr(set, s->text[*at]))
        return false;
    *out = s->text[(*at)++];
    return true;
}

/* [[fill]align] at the begin; align stays 0 where it is not given. */
static void read_fill(const struct jinja_string *s, size_t *at, struct jinja_field *f)
{
    uint32_t c;
    size_t n = s->len > 0 ? (size_t)utf8_decode(s->text, s->len, &c) : 0;
    f->align = 0;
    if (n > 0 && n < s->len && is_align(s->text[n])) {
        f->fill = s->text;
        f->fill_len = n;
        f->align = s->text[n];
        *at = n + 1;
    } else {
        take(s, at, "<>=^", &f->align);
    }
}

/* False: what is left over is no specification. */
static bool read_specification(const struct jinja_string *s, struct jinja_field *f)
{
    size_t at = 0;
    char mark;
    *f = jinja_field_plain;
    f->sign = 0;
    read_fill(s, &at, f);
    take(s, &at, "+- ", &f->sign);
    f->alternate = take(s, &at, "#", &mark);
    if (at < s->len && s->text[at] == '0' && f->fill != s->text) {
        f->fill = zeros;
        f->align = f->align ? f->align : '=';
    }
    f->width = jinja_field_digits(s, &at);
    f->width = f->width < 0 ? 0 : f->width;
    take(s, &at, ",_", &f->grouping);
    if (take(s, &at, ".", &mark)) {
        f->precision = jinja_field_digits(s, &at);
        if (f->precision < 0)
            return false;
    }
    take(s, &at, "bcdeEfFgGnosxX%", &f->type);
    return at == s->len && f->width < INT32_MAX && f->precision < INT32_MAX;
}

/* ---- writing ---- */

static void put_text(struct braces *p, struct jinja_builder *b, struct jinja_field *f,
                     const struct jinja_string *s)
{
    if (!f->align || (f->align == '=' && f->fill == zeros))
        f->align = '<';
    if ((f->type && f->type != 's') || f->sign || f->alternate || f->grouping ||
        f->align == '=') {
        fail(p, "a format asks of a text what numbers have");
        return;
    }
    jinja_field_text(b, f, s);
}

static void put_character(struct braces *p, struct jinja_builder *b,
                          struct jinja_field *f, int64_t c)
{
    char text[4];
    struct jinja_string one = {.text = text};
    if (c < 0 || c >= 0x110000 || (c >= 0xD800 && c <= 0xDFFF)) {
        fail(p, "a format's character is out of range");
        return;
    }
    one.len = (size_t)utf8_encode((uint32_t)c, text);
    jinja_field_text(b, f, &one);
}

static void put_real(struct jinja_builder *b, struct jinja_field *f, double x)
{
    if (f->type == 'n')
        f->type = 'g';
    jinja_field_real(b, f, x);
}

static void put_int(struct braces *p, struct jinja_builder *b, struct jinja_field *f,
                    int64_t x)
{
    if (f->type && strchr("eEfFgG%", f->type)) {
        put_real(b, f, (double)x);
    } else if (f->precision >= 0) {
        fail(p, "Precision not allowed in integer format specifier");
    } else if (f->grouping == ',' && f->type && strchr("bcnoxX", f->type)) {
        fail(p, "a format groups by ',' what is not decimal");
    } else if (f->type == 'c') {
        put_character(p, b, f, x);
    } else {
        f->type = f->type && strchr("boxX", f->type) ? f->type : 'd';
        jinja_field_int(b, f, x);
    }
}

static void put_number(struct braces *p, struct jinja_builder *b, struct jinja_field *f,
                       struct jinja_value v)
{
    bool real = v.kind == JINJA_REAL;
    if (f->type == 's' || (real && f->type && strchr("bcdoxX", f->type))) {
        jinja_render_fail(p->r, "Unknown format code '%c' for object of type '%s'",
                          f->type, jinja_print_type(v));
        return;
    }
    if (f->type == 'c' && (f->sign || f->alternate)) {
        fail(p, "a format asks of a character what numbers have");
        return;
    }
    f->align = f->align ? f->align : '>';
    f->sign = f->sign ? f->sign : '-';
    if (real)
        put_real(b, f, v.real);
    else
        put_int(p, b, f, v.kind == JINJA_BOOL ? v.truth : v.integer);
}

static void put_value(struct braces *p, struct jinja_builder *b, struct jinja_value v,
                      const struct jinja_string *specification)
{
    struct jinja_field f;
    if (specification->len == 0) {
        jinja_print(b, v);
        return;
    }
    if (!read_specification(specification, &f)) {
        fail(p, "Invalid format specifier");
        return;
    }
    if (v.kind == JINJA_STRING)
        put_text(p, b, &f, v.string);
    else if (v.kind == JINJA_BOOL || v.kind == JINJA_INT || v.kind == JINJA_REAL)
        put_number(p, b, &f, v);
    else
        jinja_render_fail(p->r, "unsupported format string passed to %s.__format__",
                          jinja_print_type(v));
}

static struct jinja_value converted(struct braces *p, struct jinja_value v, char how)
{
    struct jinja_builder b;
    jinja_string_begin(&b, p->r);
    if (how == 's')
        jinja_print(&b, v);
    else if (how == 'r')
        jinja_print_repr(&b, v);
    else if (how == 'a')
        jinja_print_ascii(&b, v);
    else
        fail(p, "a format's conversion is none of !s, !r and !a");
    return jinja_string_end(&b);
}

/* ---- the walk ---- */

/* Behind the brace that closes the field that begins at `at`; 0: there is none. */
static size_t field_end(const struct jinja_string *s, size_t at)
{
    bool item = false;
    for (int open = 1; at < s->len; at++) {
        char c = s->text[at];
        if (c == '[' || c == ']')
            item = c == '[';
        open += item ? 0 : (c == '{') - (c == '}');
        if (open == 0)
            return at + 1;
    }
    return 0;
}

/* Where the name ends: at ! or : outside of brackets. */
static size_t name_end(const struct piece *field)
{
    bool item = false;
    size_t at = field->at;
    for (; at < field->end; at++) {
        char c = field->s->text[at];
        if (c == '[' || c == ']')
            item = c == '[';
        if (!item && (c == '!' || c == ':'))
            break;
    }
    return at;
}

static void put_field(struct braces *p, struct jinja_builder *b, struct piece field)
{
    const struct jinja_string *s = field.s;
    struct piece name = {s, field.at, name_end(&field)};
    struct jinja_value v = find_value(p, &name);
    size_t at = name.end;
    if (at < field.end && s->text[at] == '!' && !p->r->failed) {
        v = converted(p, v, at + 1 < field.end ? s->text[at + 1] : '\0');
        at += 2;
        if (at < field.end && s->text[at] != ':')
            fail(p, "expected ':' after conversion specifier");
    }
    if (p->r->failed)
        return;
    at = at < field.end ? at + 1 : at;
    struct jinja_value text = jinja_string_cut(p->r, s, at, field.end - at);
    if (p->r->failed)
        return;
    struct jinja_builder inner;
    jinja_string_begin(&inner, p->r);
    format_into(p, &inner, text.string);
    text = jinja_string_end(&inner);
    if (!p->r->failed)
        put_value(p, b, v, text.string);
}

/* A brace at `at`: doubled, it is itself; open, it begins a field. Answers what is behind. */
static size_t put_brace(struct braces *p, struct jinja_builder *b,
                        const struct jinja_string *s, size_t at)
{
    if (at + 1 < s->len && s->text[at + 1] == s->text[at]) {
        jinja_string_slice(b, s, at, 1);
        return at + 2;
    }
    size_t end = s->text[at] == '{' ? field_end(s, at + 1) : 0;
    if (end == 0) {
        fail(p, "a format has a single brace");
        return s->len;
    }
    put_field(p, b, (struct piece){s, at + 1, end - 1});
    return end;
}

static void format_into(struct braces *p, struct jinja_builder *b,
                        const struct jinja_string *format)
{
    struct piece all = {format, 0, format->len};
    if (p->level == FORMAT_LEVELS) {
        fail(p, "Max string recursion exceeded");
        return;
    }
    p->level++;
    for (size_t at = 0; at < format->len && !p->r->failed;) {
        size_t brace = find_any(&all, at, "{}");
        jinja_string_slice(b, format, at, brace - at);
        at = brace < format->len ? put_brace(p, b, format, brace) : brace;
    }
    p->level--;
}

struct jinja_value jinja_format_braces(struct jinja_render *r,
                                       const struct jinja_string *format,
                                       const struct jinja_value *args, size_t n,
                                       const struct jinja_dict *named)
{
    struct jinja_builder b;
    struct braces p = {.r = r, .args = args, .n = n, .named = named};
    jinja_string_begin(&b, r);
    format_into(&p, &b, format);
    return jinja_string_end(&b);
}
