/* The parser: recursive descent, a function for each form of the grammar.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/body.h"

#include "engine/base/mem.h"
#include "engine/base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 2048 };

struct parser {
    const char *text, *at, *end;
    body_known_fn *known;
    const void *arg;
    struct value *values; /* room_for() of them */
    struct value *names;  /* of the objects that are open */
    size_t n, n_names;
    size_t n_nodes; /* values and names in the text so far */
    size_t n_unknown;
    int depth;
    bool muted;        /* inside of a member that is not built */
    const char *fault; /* what is wrong at `at` */
};

/* ---- memory ------------------------------------------------------------------ */

struct room {
    size_t values, names;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Two bytes for a value, four for a name and its colon; what is not closed at the end of
 * a text that is cut has one byte less. The last value is where unbuilt ones land. */
static struct room room_for(size_t len)
{
    size_t open = smaller(len, MAX_DEPTH);
    return (struct room){.values = smaller(len / 2 + open, BODY_MAX_NODES) + 2,
                         .names = smaller(len / 4, BODY_MAX_NODES / 2) + 2};
}

/* Sorting names takes as much again as the names. */
size_t body_bytes(size_t len)
{
    struct room room = room_for(len);
    return (room.values + 2 * room.names) * sizeof(struct value);
}

static bool begin(struct parser *p, size_t len)
{
    struct room room = room_for(len);
    size_t bytes = (room.values + room.names) * sizeof(struct value);
    p->values = mem_alloc(bytes);
    if (!p->values)
        return false;
    mem_sparse(p->values, bytes);
    p->names = p->values + room.values;
    return true;
}

/* ---- nodes ------------------------------------------------------------------- */

static bool fail(struct parser *p, const char *at, const char *fault)
{
    p->at = at;
    p->fault = fault;
    return false;
}

/* The next node; beyond the limit and in what is not built, one that counts for nothing
 * and that the next call hands out again. */
static struct value *add(struct parser *p)
{
    p->n_nodes++;
    struct value *v = &p->values[p->n];
    if (!p->muted && p->n_nodes <= BODY_MAX_NODES)
        p->n++;
    v->span = 1;
    v->escaped = 0;
    v->len = 0;
    return v;
}

static void put_span(struct parser *p, struct value *v)
{
    size_t at = (size_t)(v - p->values);
    if (at < p->n)
        v->span = (unsigned)(p->n - at) & 0x7ffffff;
}

/* ---- tokens ------------------------------------------------------------------ */

static void skip_space(struct parser *p)
{
    while (p->at < p->end &&
           (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

static bool at_byte(const struct parser *p, char c)
{
    return p->at < p->end && *p->at == c;
}

static bool take(struct parser *p, char c)
{
    if (!at_byte(p, c))
        return false;
    p->at++;
    return true;
}

/* The bytes of a string that end it or need a look. */
static bool is_plain(char c)
{
    return (unsigned char)c - 0x20u < 0x60u && c != '"' && c != '\\';
}

/* One character of a string that is not plain. */
static bool parse_character(struct parser *p, struct value *v)
{
    const char *s = p->at + 1;
    uint32_t c;
    if (*p->at == '\\') {
        v->escaped = 1;
        if (!value_unescape(&s, p->end, &c))
            return fail(p, p->at, "this escape is none of JSON, or half of a pair");
        p->at = s;
        return true;
    }
    if ((unsigned char)*p->at < 0x20)
        return fail(p, p->at, "a control character in a string must be escaped");
    int n = utf8_decode(p->at, (size_t)(p->end - p->at), &c);
    if (n <= 0)
        return fail(p, p->at, "this is not UTF-8");
    p->at += n;
    return true;
}

static bool parse_string(struct parser *p, struct value *v)
{
    const char *quote = p->at++;
    v->kind = VALUE_STRING;
    v->text = p->at;
    for (;;) {
        while (p->at < p->end && is_plain(*p->at))
            p->at++;
        if (p->at == p->end)
            return fail(p, quote, "this string does not end");
        if (*p->at == '"')
            break;
        if (!parse_character(p, v))
            return false;
    }
    v->len = (uint32_t)(p->at++ - v->text);
    return true;
}

static bool parse_word(struct parser *p, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(p->end - p->at) < len || memcmp(p->at, word, len) != 0)
        return fail(p, p->at, "expected a value");
    p->at += len;
    return true;
}

static size_t skip_digits(struct parser *p)
{
    const char *begin = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return (size_t)(p->at - begin);
}

/* Its digits; false when there are too many for 64 bits with a sign. */
static bool read_int(const char *s, const char *end, int64_t *x)
{
    bool negative = *s == '-';
    *x = 0;
    for (s += negative; s < end; s++)
        if (__builtin_mul_overflow(*x, 10, x) ||
            __builtin_add_overflow(*x, negative ? '0' - *s : *s - '0', x))
            return false;
    return true;
}

/* A number at the very end of the text is in no object, so its value does not matter;
 * anywhere else strtod finds where it ends. */
static void read_real(const struct parser *p, const char *s, struct value *v)
{
    bool wanted = !p->muted && p->at < p->end;
    v->real = wanted ? strtod(s, NULL) : 0;
    v->kind = isfinite(v->real) ? VALUE_REAL : VALUE_BEYOND;
}

static bool parse_number(struct parser *p, struct value *v)
{
    const char *s = p->at;
    bool real = false;
    take(p, '-');
    if (!take(p, '0') && skip_digits(p) == 0)
        return fail(p, s, "expected a value");
    if (take(p, '.')) {
        real = true;
        if (skip_digits(p) == 0)
            return fail(p, p->at, "expected a digit");
    }
    if (take(p, 'e') || take(p, 'E')) {
        real = true;
        if (!take(p, '-'))
            take(p, '+');
        if (skip_digits(p) == 0)
            return fail(p, p->at, "expected a digit");
    }
    if (real)
        read_real(p, s, v);
    else
        v->kind = read_int(s, p->at, &v->integer) ? VALUE_INT : VALUE_BEYOND;
    return true;
}

/* ---- names ------------------------------------------------------------------- */

static bool has_nul(const struct value *name)
{
    const char *s = name->text, *end = s + name->len;
    uint32_t c;
    if (!name->escaped)
        return false;
    while (s < end)
        if (*s++ == '\\' && value_unescape(&s, end, &c) && c == 0)
            return true;
    return false;
}

static bool parse_name(struct parser *p, struct value *name)
{
    const char *quote = p->at;
    if (!at_byte(p, '"'))
        return fail(p, p->at, "expected a name in quotes");
    if (!parse_string(p, name))
        return false;
    if (has_nul(name))
        return fail(p, quote, "a name must not contain U+0000");
    if (p->n_nodes <= BODY_MAX_NODES)
        p->names[p->n_names++] = *name;
    skip_space(p);
    return take(p, ':') || fail(p, p->at, "expected a colon");
}

static int compare_names(const void *a, const void *b)
{
    return value_compare(a, b);
}

/* The names of an object that ends, on top of those of the objects around it. */
static bool end_names(struct parser *p, size_t first)
{
    struct value *names = &p->names[first];
    size_t n = p->n_names - first;
    p->n_names = first;
    if (n < 2)
        return true;
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n; i++)
        if (value_compare(&names[i - 1], &names[i]) == 0) {
            const char *a = names[i - 1].text, *b = names[i].text;
            return fail(p, (a > b ? a : b) - 1, "this name occurs twice in its object");
        }
    return true;
}

/* ---- values ------------------------------------------------------------------ */

static bool parse_value(struct parser *p);

static bool parse_array(struct parser *p, struct value *v)
{
    v->kind = VALUE_ARRAY;
    p->at++;
    skip_space(p);
    if (take(p, ']'))
        return true;
    uint32_t n = 0;
    do {
        if (!parse_value(p))
            return false;
        n++;
    } while (take(p, ','));
    v->len = n;
    put_span(p, v);
    return take(p, ']') || fail(p, p->at, "expected a comma or the array's end");
}

/* A name and what it stands for. Of the body itself, only what is known is built. */
static bool parse_member(struct parser *p, uint32_t *n)
{
    size_t at = p->n;
    struct value *name = add(p);
    if (!parse_name(p, name))
        return false;
    bool unknown = p->depth == 1 && !p->known(p->arg, name);
    if (unknown) {
        p->n = at;
        p->muted = true;
        p->n_unknown++;
    }
    if (!parse_value(p))
        return false;
    if (unknown)
        p->muted = false;
    else
        put_span(p, name);
    *n += !unknown;
    return true;
}

static bool parse_object(struct parser *p, struct value *v)
{
    size_t first_name = p->n_names;
    v->kind = VALUE_OBJECT;
    p->at++;
    skip_space(p);
    if (take(p, '}'))
        return true;
    uint32_t n = 0;
    do {
        skip_space(p);
        if (!parse_member(p, &n))
            return false;
    } while (take(p, ','));
    v->len = n;
    put_span(p, v);
    if (!take(p, '}'))
        return fail(p, p->at, "expected a comma or the object's end");
    return end_names(p, first_name);
}

static bool parse_literal(struct parser *p, struct value *v)
{
    v->integer = *p->at == 't';
    v->kind = *p->at == 'n' ? VALUE_NULL : VALUE_BOOL;
    return parse_word(p, *p->at == 't' ? "true" : *p->at == 'f' ? "false" : "null");
}

static bool parse_form(struct parser *p)
{
    struct value *v = add(p);
    switch (p->at < p->end ? *p->at : '\0') {
    case '{':
        return parse_object(p, v);
    case '[':
        return parse_array(p, v);
    case '"':
        return parse_string(p, v);
    case 't':
    case 'f':
    case 'n':
        return parse_literal(p, v);
    default:
        return parse_number(p, v);
    }
}

/* With the blanks around it. */
static bool parse_value(struct parser *p)
{
    skip_space(p);
    if (p->depth == MAX_DEPTH)
        return fail(p, p->at, "too deeply nested");
    p->depth++;
    bool ok = parse_form(p);
    p->depth--;
    if (ok)
        skip_space(p);
    return ok;
}

/* ---- the whole --------------------------------------------------------------- */

static int refuse(const struct parser *p, struct err *err)
{
    size_t line = 1;
    const char *begin = p->text;
    for (const char *s = p->text; s < p->at; s++)
        if (*s == '\n') {
            line++;
            begin = s + 1;
        }
    return err_set(err, ERR_ARGUMENT, "invalid JSON at line %zu, column %zu: %s", line,
                   (size_t)(p->at - begin) + 1, p->fault);
}

static int parse(struct parser *p, struct err *err)
{
    if (!parse_value(p))
        return refuse(p, err);
    if (p->at < p->end) {
        p->fault = "expected the end";
        return refuse(p, err);
    }
    if (p->n_nodes > BODY_MAX_NODES)
        return err_set(
            err, ERR_COMPLEX,
            "the body holds %zu JSON values and names, at most %d are accepted",
            p->n_nodes, BODY_MAX_NODES);
    if (value_kind(p->values) != VALUE_OBJECT)
        return err_set(err, ERR_ARGUMENT, "the body must be a JSON object, not %s",
                       value_kind_name(p->values));
    return 0;
}

int body_parse(struct body *out, const char *text, size_t len, body_known_fn *known,
               const void *arg, struct err *err)
{
    struct parser p = {
        .text = text, .at = text, .end = text + len, .known = known, .arg = arg};
    if (len == 0)
        return err_set(err, ERR_ARGUMENT, "the body is empty, expected a JSON object");
    if (len > UINT32_MAX)
        return err_set(err, ERR_TOO_LARGE, "the body is longer than 4 GiB");
    if (!begin(&p, len))
        return err_set(err, ERR_MEMORY, "out of memory for a body of %zu bytes", len);
    int rc = parse(&p, err);
    *out = (struct body){.values = p.values, .n_unknown = p.n_unknown};
    if (rc)
        body_free(out);
    return rc;
}

void body_free(struct body *b)
{
    mem_free(b->values);
    *b = (struct body){0};
}
