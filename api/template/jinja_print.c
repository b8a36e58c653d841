/*
 * str(), repr() and ascii() of values. Runs on the render's thread, over the render's
 * builder, which bounds the output; nesting is bounded here.
 *
 * The subtle point: only a namespace can hold itself. Python shows the second occurrence
 * of whatever is being printed as {...} or [...], so the containers that are being
 * printed form a chain, which is searched while a namespace is among them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_print.h"

#include "api/template/jinja_call.h"
#include "api/template/jinja_char.h"
#include "engine/base/utf8.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRINT_DEPTH = 200, POINT_MIN = -4, POINT_MAX = 16 };

struct printing { /* a container that is being printed */
    const void *what;
    const struct printing *outer;
    int depth;
    bool namespaces; /* one is in the chain */
    bool ascii;
};

static void print_repr(struct jinja_builder *b, struct jinja_value v,
                       const struct printing *in);

/* ---- numbers ---- */

/* The fewest digits that read back, as "d.ddde+xx", but for zeros at the end. Any 15
 * digits survive a double, so fewer are those without zeros; not where it is subnormal. */
static void shortest(double x, char out[JINJA_PRINT_REAL])
{
    for (int after = x < DBL_MIN ? 0 : 14; after <= 16; after++) {
        snprintf(out, JINJA_PRINT_REAL, "%.*e", after, x);
        if (strtod(out, NULL) == x)
            return;
    }
}

/* Takes the digits out of "d.ddde+xx", without zeros at the end; answers the exponent. */
static int take_digits(const char *text, char digits[JINJA_PRINT_REAL], size_t *n)
{
    *n = 0;
    for (; *text != 'e'; text++)
        if (*text != '.')
            digits[(*n)++] = *text;
    while (*n > 1 && digits[*n - 1] == '0')
        (*n)--;
    return (int)strtol(text + 1, NULL, 10);
}

static size_t scientific(char *out, const char *digits, size_t n, int exponent)
{
    return (size_t)snprintf(out, JINJA_PRINT_REAL, "%c%s%.*se%c%02d", digits[0],
                            n > 1 ? "." : "", (int)n - 1, digits + 1,
                            exponent < 0 ? '-' : '+', abs(exponent));
}

static size_t positional(char *out, const char *digits, size_t n, int exponent)
{
    static const char zeros[] = "0000000000000000";
    int whole = exponent + 1, have = (int)n;
    if (whole <= 0)
        return (size_t)snprintf(out, JINJA_PRINT_REAL, "0.%.*s%.*s", -whole, zeros, have,
                                digits);
    if (have <= whole)
        return (size_t)snprintf(out, JINJA_PRINT_REAL, "%.*s%.*s.0", have, digits,
                                whole - have, zeros);
    return (size_t)snprintf(out, JINJA_PRINT_REAL, "%.*s.%.*s", whole, digits,
                            have - whole, digits + whole);
}

size_t jinja_print_real(double x, char out[JINJA_PRINT_REAL])
{
    char text[JINJA_PRINT_REAL], digits[JINJA_PRINT_REAL];
    if (isnan(x))
        return (size_t)snprintf(out, JINJA_PRINT_REAL, "nan");
    if (isinf(x))
        return (size_t)snprintf(out, JINJA_PRINT_REAL, x < 0 ? "-inf" : "inf");
    size_t sign = signbit(x) ? 1 : 0, n;
    out[0] = '-';
    shortest(fabs(x), text);
    int exponent = take_digits(text, digits, &n);
    if (exponent < POINT_MIN || exponent >= POINT_MAX)
        return sign + scientific(out + sign, digits, n, exponent);
    return sign + positional(out + sign, digits, n, exponent);
}

static void put_number(struct jinja_builder *b, struct jinja_value v)
{
    char text[JINJA_PRINT_REAL];
    if (v.kind == JINJA_REAL)
        jinja_print_real(v.real, text);
    else
        snprintf(text, sizeof text, "%" PRId64, v.integer);
    jinja_string_puts(b, text);
}

/* ---- texts ---- */

static const char *short_escape(uint32_t c)
{
    return c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
}

static void put_escape(struct jinja_builder *b, uint32_t c, char quote, uint16_t mark)
{
    char text[16];
    if (c == (uint32_t)quote || c == '\\')
        snprintf(text, sizeof text, "\\%c", (int)c);
    else if (short_escape(c))
        snprintf(text, sizeof text, "%s", short_escape(c));
    else
        snprintf(text, sizeof text,
                 c <= 0xFF     ? "\\x%02" PRIx32
                 : c <= 0xFFFF ? "\\u%04" PRIx32
                               : "\\U%08" PRIx32,
                 c);
    jinja_string_put(b, text, strlen(text), mark);
}

static bool is_plain(uint32_t c, char quote, bool ascii)
{
    if (c < 0x80)
        return c >= 0x20 && c != 0x7F && c != '\\' && c != (uint32_t)quote;
    return !ascii && jinja_char_printable(c);
}

/* Runs that need no escape are copied whole. */
static void put_quoted(struct jinja_builder *b, const struct jinja_string *s, bool ascii)
{
    bool single = memchr(s->text, '\'', s->len) && !memchr(s->text, '"', s->len);
    const char quote[] = {single ? '"' : '\'', '\0'};
    size_t begun = 0;
    jinja_string_puts(b, quote);
    for (size_t i = 0; i < s->len && !b->render->failed;) {
        uint32_t c;
        size_t n = (size_t)utf8_decode(s->text + i, s->len - i, &c);
        if (!is_plain(c, quote[0], ascii)) {
            jinja_string_slice(b, s, begun, i - begun);
            put_escape(b, c, quote[0], jinja_string_mark(s, i));
            begun = i + n;
        }
        i += n;
    }
    jinja_string_slice(b, s, begun, s->len - begun);
    jinja_string_puts(b, quote);
}

static void put_text(struct jinja_builder *b, const struct jinja_string *s, bool ascii)
{
    if (s->safe)
        jinja_string_puts(b, "Markup(");
    put_quoted(b, s, ascii);
    if (s->safe)
        jinja_string_puts(b, ")");
}

/* ---- containers ---- */

static void put_list(struct jinja_builder *b, const struct jinja_list *list,
                     const struct printing *in)
{
    for (size_t i = 0; i < list->n && !b->render->failed; i++) {
        if (i > 0)
            jinja_string_puts(b, ", ");
        print_repr(b, list->items[i], in);
    }
}

static void put_dict(struct jinja_builder *b, const struct jinja_dict *d,
                     const struct printing *in)
{
    for (size_t i = 0; i < d->n && !b->render->failed; i++) {
        if (i > 0)
            jinja_string_puts(b, ", ");
        print_repr(b, d->entries[i].key, in);
        jinja_string_puts(b, ": ");
        print_repr(b, d->entries[i].value, in);
    }
}

struct frame { /* what stands around a container's items */
    const char *open, *close, *again;
};

static const struct frame frames[] = {
    [JINJA_LIST] = {"[", "]", "[...]"},
    [JINJA_TUPLE] = {"(", ")", "(...)"},
    [JINJA_VIEW] = {"([", "])", "(...)"},
    [JINJA_DICT] = {"{", "}", "{...}"},
    [JINJA_NAMESPACE] = {"<Namespace {", "}>", "<Namespace {...}>"},
};

static bool is_printing(const void *what, const struct printing *in)
{
    for (; in; in = in->outer)
        if (in->what == what)
            return true;
    return false;
}

static void put_container(struct jinja_builder *b, struct jinja_value v,
                          const struct printing *outer)
{
    bool is_dict = v.kind == JINJA_DICT || v.kind == JINJA_NAMESPACE;
    struct printing in = *outer;
    in.what = is_dict ? (const void *)v.dict : (const void *)v.list;
    in.outer = outer;
    in.depth++;
    in.namespaces |= v.kind == JINJA_NAMESPACE;
    const struct frame *f = &frames[v.kind];
    if (in.depth > PRINT_DEPTH) {
        jinja_render_fail(b->render, "a value is nested too deeply to be printed");
        return;
    }
    if (v.kind == JINJA_VIEW)
        jinja_string_puts(b, v.list->type);
    if (outer->namespaces && is_printing(in.what, outer)) {
        jinja_string_puts(b, f->again);
        return;
    }
    jinja_string_puts(b, f->open);
    if (is_dict)
        put_dict(b, v.dict, &in);
    else
        put_list(b, v.list, &in);
    if (v.kind == JINJA_TUPLE && v.list->n == 1)
        jinja_string_puts(b, ",");
    jinja_string_puts(b, f->close);
}

static void put_range(struct jinja_builder *b, const struct jinja_range *range)
{
    char text[80];
    int len = snprintf(text, sizeof text, "range(%" PRId64 ", %" PRId64, range->start,
                       range->stop);
    if (range->step != 1)
        snprintf(text + len, sizeof text - (size_t)len, ", %" PRId64, range->step);
    jinja_string_puts(b, text);
    jinja_string_puts(b, ")");
}

static void put_object(struct jinja_builder *b, const char *type)
{
    jinja_string_puts(b, "<");
    jinja_string_puts(b, type);
    jinja_string_puts(b, " object>");
}

static void put_callable(struct jinja_builder *b, const struct jinja_callable *callable)
{
    const struct jinja_function *macro = callable->function;
    if (!macro || macro->name.len == 0) {
        put_object(b, macro ? "Macro" : "function");
        return;
    }
    jinja_string_puts(b, "<Macro '");
    jinja_string_put(b, macro->name.text, macro->name.len, 0);
    jinja_string_puts(b, "'>");
}

static void print_repr(struct jinja_builder *b, struct jinja_value v,
                       const struct printing *in)
{
    switch (v.kind) {
    case JINJA_UNDEFINED:
        jinja_string_puts(b, "Undefined");
        break;
    case JINJA_NONE:
        jinja_string_puts(b, "None");
        break;
    case JINJA_BOOL:
        jinja_string_puts(b, v.truth ? "True" : "False");
        break;
    case JINJA_INT:
    case JINJA_REAL:
        put_number(b, v);
        break;
    case JINJA_STRING:
        put_text(b, v.string, in->ascii);
        break;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_VIEW:
    case JINJA_DICT:
    case JINJA_NAMESPACE:
        put_container(b, v, in);
        break;
    case JINJA_RANGE:
        put_range(b, v.range);
        break;
    case JINJA_ITERATOR:
        put_object(b, v.list->type);
        break;
    case JINJA_CALLABLE:
        put_callable(b, v.callable);
        break;
    }
}

/* ---- what others call ---- */

const char *jinja_print_type(struct jinja_value v)
{
    static const char *const names[] = {
        [JINJA_UNDEFINED] = "Undefined", [JINJA_NONE] = "NoneType",
        [JINJA_BOOL] = "bool",           [JINJA_INT] = "int",
        [JINJA_REAL] = "float",          [JINJA_STRING] = "str",
        [JINJA_LIST] = "list",           [JINJA_TUPLE] = "tuple",
        [JINJA_RANGE] = "range",         [JINJA_DICT] = "dict",
        [JINJA_NAMESPACE] = "Namespace", [JINJA_CALLABLE] = "function"};
    if (v.kind == JINJA_VIEW || v.kind == JINJA_ITERATOR)
        return v.list->type;
    return v.kind == JINJA_STRING && v.string->safe ? "Markup" : names[v.kind];
}

void jinja_print(struct jinja_builder *b, struct jinja_value v)
{
    if (v.kind == JINJA_STRING)
        jinja_string_join(b, v.string);
    else if (v.kind != JINJA_UNDEFINED)
        jinja_print_repr(b, v);
}

void jinja_print_repr(struct jinja_builder *b, struct jinja_value v)
{
    print_repr(b, v, &(struct printing){0});
}

void jinja_print_ascii(struct jinja_builder *b, struct jinja_value v)
{
    print_repr(b, v, &(struct printing){.ascii = true});
}
