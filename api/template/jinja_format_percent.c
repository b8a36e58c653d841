/*
 * The % operator of texts. Reads the format once from its begin; each specification takes
 * its argument and is written at once. Runs on the render's thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_format_percent.h"

#include "api/template/jinja_field.h"
#include "api/template/jinja_print.h"
#include "engine/base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct percent {
    struct jinja_render *r;
    struct jinja_builder *b;
    const struct jinja_string *format;
    size_t at;
    struct jinja_value args;        /* as given */
    const struct jinja_value *list; /* [n]: those of the tuple, or the one */
    size_t n, used;
    struct jinja_value named; /* the one that %(name) found */
};

static void fail(struct percent *p, const char *text)
{
    jinja_render_fail(p->r, "%s", text);
}

static char peek(const struct percent *p)
{
    return p->at < p->format->len ? p->format->text[p->at] : '\0';
}

static struct jinja_value next_argument(struct percent *p)
{
    if (p->used < p->n)
        return p->list[p->used++];
    fail(p, "not enough arguments for format string");
    return jinja_none();
}

/* ---- a specification ---- */

static void find_named(struct percent *p, size_t from, size_t len)
{
    if (p->args.kind != JINJA_DICT) {
        fail(p, "format requires a mapping");
        return;
    }
    struct jinja_string text = {.text = p->format->text + from, .len = len};
    struct jinja_value key = {.kind = JINJA_STRING, .string = &text};
    const struct jinja_entry *e = jinja_dict_find(p->args.dict, key);
    if (!e) {
        jinja_render_fail(p->r, "the format's key '%.*s' is not there",
                          len < 64 ? (int)len : 64, text.text);
        return;
    }
    p->named = e->value;
    p->list = &p->named;
    p->n = 1;
    p->used = 0;
}

/* (name), whose parentheses nest. */
static void read_name(struct percent *p)
{
    if (peek(p) != '(')
        return;
    size_t from = ++p->at;
    for (int open = 1; p->at < p->format->len; p->at++) {
        open += (peek(p) == '(') - (peek(p) == ')');
        if (open == 0) {
            find_named(p, from, p->at++ - from);
            return;
        }
    }
    fail(p, "incomplete format key");
}

static bool read_flag(struct percent *p, struct jinja_field *f)
{
    switch (peek(p)) {
    case '-':
        f->align = '<';
        break;
    case '+':
        f->sign = '+';
        break;
    case ' ':
        f->sign = f->sign == '+' ? '+' : ' ';
        break;
    case '#':
        f->alternate = true;
        break;
    case '0':
        f->fill = "0";
        break;
    default:
        return false;
    }
    p->at++;
    return true;
}

/* A number, or * for one of the arguments; `none` where there is neither. */
static int64_t read_count(struct percent *p, int64_t none, const char *too_big)
{
    int64_t count;
    if (peek(p) == '*') {
        p->at++;
        struct jinja_value v = next_argument(p);
        count = v.kind == JINJA_BOOL ? v.truth : v.integer;
        if (v.kind != JINJA_INT && v.kind != JINJA_BOOL)
            fail(p, "* wants int");
    } else {
        count = jinja_field_digits(p->format, &p->at);
        count = count < 0 ? none : count;
    }
    if (count >= INT32_MAX || count <= -INT32_MAX) {
        fail(p, too_big);
        return none;
    }
    return count;
}

static void read_specification(struct percent *p, struct jinja_field *f)
{
    *f = jinja_field_plain;
    read_name(p);
    while (read_flag(p, f))
        ;
    f->width = read_count(p, 0, "width too big");
    if (f->width < 0) {
        f->align = '<';
        f->width = -f->width;
    }
    if (peek(p) == '.') {
        p->at++;
        f->precision = read_count(p, 0, "precision too big");
        f->precision = f->precision < 0 ? 0 : f->precision;
    }
    if (peek(p) && strchr("hlL", peek(p)))
        p->at++;
    f->type = peek(p);
    if (p->at++ >= p->format->len)
        fail(p, "incomplete format");
}

/* ---- conversions ---- */

typedef void convert_fn(struct percent *p, struct jinja_field *f, struct jinja_value v);

static void wrong_kind(struct percent *p, const struct jinja_field *f, const char *wanted,
                       struct jinja_value v)
{
    jinja_render_fail(p->r, "%%%c format: %s is required, not %s", f->type, wanted,
                      jinja_print_type(v));
}

static void convert_text(struct percent *p, struct jinja_field *f, struct jinja_value v)
{
    struct jinja_builder b;
    f->fill = " ";
    jinja_string_begin(&b, p->r);
    if (f->type == 's')
        jinja_print(&b, v);
    else if (f->type == 'r')
        jinja_print_repr(&b, v);
    else
        jinja_print_ascii(&b, v);
    v = jinja_string_end(&b);
    if (!p->r->failed)
        jinja_field_text(p->b, f, v.string);
}

/* 0 is between the sign and the digits. */
static void fill_zeros(struct jinja_field *f)
{
    if (f->fill[0] == '0' && f->align == '>')
        f->align = '=';
    else if (f->align == '<')
        f->fill = " ";
}

/* The whole part of a real, which may be beyond 64 bits. */
static void put_whole(struct percent *p, struct jinja_field *f, double x)
{
    if (!isfinite(x)) {
        jinja_render_fail(p->r, "cannot convert float %s to integer",
                          isnan(x) ? "NaN" : "infinity");
        return;
    }
    double whole = trunc(x);
    if (fabs(whole) < 0x1p63) {
        jinja_field_int(p->b, f, (int64_t)whole);
        return;
    }
    f->type = 'f';
    f->precision = 0;
    f->alternate = false;
    jinja_field_real(p->b, f, whole);
}

static void convert_decimal(struct percent *p, struct jinja_field *f,
                            struct jinja_value v)
{
    fill_zeros(f);
    if (v.kind == JINJA_INT || v.kind == JINJA_BOOL)
        jinja_field_int(p->b, f, v.kind == JINJA_INT ? v.integer : v.truth);
    else if (v.kind == JINJA_REAL)
        put_whole(p, f, v.real);
    else
        wrong_kind(p, f, "a real number", v);
}

static void convert_base(struct percent *p, struct jinja_field *f, struct jinja_value v)
{
    fill_zeros(f);
    if (v.kind == JINJA_INT || v.kind == JINJA_BOOL)
        jinja_field_int(p->b, f, v.kind == JINJA_INT ? v.integer : v.truth);
    else
        wrong_kind(p, f, "an integer", v);
}

static void convert_real(struct percent *p, struct jinja_field *f, struct jinja_value v)
{
    fill_zeros(f);
    if (v.kind == JINJA_REAL)
        jinja_field_real(p->b, f, v.real);
    else if (v.kind == JINJA_INT || v.kind == JINJA_BOOL)
        jinja_field_real(p->b, f, v.kind == JINJA_INT ? (double)v.integer : v.truth);
    else
        wrong_kind(p, f, "a real number", v);
}

static void convert_character(struct percent *p, struct jinja_field *f,
                              struct jinja_value v)
{
    char text[4];
    struct jinja_string one = {.text = text};
    f->fill = " ";
    f->precision = -1;
    bool scalar = v.kind == JINJA_INT && v.integer >= 0 && v.integer < 0x110000 &&
                  (v.integer < 0xD800 || v.integer > 0xDFFF);
    if (v.kind == JINJA_STRING && utf8_count(v.string->text, v.string->len) == 1) {
        jinja_field_text(p->b, f, v.string);
    } else if (scalar) {
        one.len = (size_t)utf8_encode((uint32_t)v.integer, text);
        jinja_field_text(p->b, f, &one);
    } else {
        fail(p, "%c requires an int in the range of characters, or one character");
    }
}

static convert_fn *converter(char type)
{
    static const struct {
        const char *types;
        convert_fn *convert;
    } rows[] = {{"sra", convert_text},
                {"diu", convert_decimal},
                {"xXo", convert_base},
                {"eEfFgG", convert_real},
                {"c", convert_character}};
    for (size_t i = 0; type && i < sizeof rows / sizeof *rows; i++)
        if (strchr(rows[i].types, type))
            return rows[i].convert;
    return NULL;
}

static void put_one(struct percent *p)
{
    struct jinja_field f;
    size_t begun = p->at++;
    read_specification(p, &f);
    if (p->r->failed)
        return;
    if (f.type == '%') {
        jinja_string_slice(p->b, p->format, begun, 1);
        return;
    }
    convert_fn *convert = converter(f.type);
    if (!convert) {
        jinja_render_fail(p->r, "unsupported format character at index %zu", p->at - 1);
        return;
    }
    if (strchr("diu", f.type))
        f.type = 'd';
    struct jinja_value v = next_argument(p);
    if (!p->r->failed)
        convert(p, &f, v);
}

/* What Python can index is no list of arguments and may be left unused. */
static bool may_stay(struct jinja_value args)
{
    return args.kind == JINJA_DICT || args.kind == JINJA_LIST ||
           args.kind == JINJA_RANGE || args.kind == JINJA_UNDEFINED;
}

struct jinja_value jinja_format_percent(struct jinja_render *r,
                                        const struct jinja_string *format,
                                        struct jinja_value args)
{
    struct jinja_builder b;
    struct percent p = {
        .r = r, .b = &b, .format = format, .args = args, .list = &args, .n = 1};
    if (args.kind == JINJA_TUPLE) {
        p.list = args.list->items;
        p.n = args.list->n;
    }
    jinja_string_begin(&b, r);
    while (p.at < format->len && !r->failed) {
        const char *from = format->text + p.at;
        const char *percent = memchr(from, '%', format->len - p.at);
        size_t n = percent ? (size_t)(percent - from) : format->len - p.at;
        jinja_string_slice(&b, format, p.at, n);
        p.at += n;
        if (percent)
            put_one(&p);
    }
    if (p.used < p.n && !may_stay(args))
        fail(&p, "not all arguments converted during string formatting");
    return jinja_string_end(&b);
}
