/* The walk over a request's members. Each type of field is one row of `readers`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/fields.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A whole one keeps a point: it is no integer. */
static void describe_real(double x, char *text, size_t cap)
{
    int n = snprintf(text, cap, "%.10g", x);
    if (!strpbrk(text, ".e"))
        snprintf(text + n, cap - (size_t)n, ".0");
}

/* What v is, in words or digits: a client's own string is never repeated. */
static void describe(const struct json *v, char *text, size_t cap)
{
    if (json_kind(v) == JK_INT)
        snprintf(text, cap, "%" PRId64, json_as_int(v));
    else if (json_kind(v) == JK_REAL)
        describe_real(json_as_number(v), text, cap);
    else if (json_kind(v) == JK_BOOL)
        snprintf(text, cap, "%s", json_as_bool(v) ? "true" : "false");
    else
        snprintf(text, cap, "%s", json_kind_name(v));
}

int fields_wrong(struct err *err, const char *name, const char *expected,
                 const struct json *v)
{
    char found[40];
    describe(v, found, sizeof found);
    return err_param(err, ERR_ARGUMENT, name, "`%s` must be %s, not %s", name, expected,
                     found);
}

static void *place(const struct field *f, void *into)
{
    return (char *)into + f->at;
}

static int read_int(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                    void *into, struct err *err)
{
    (void)ctx;
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %.0f to %.0f", f->min, f->max);
    if (json_kind(v) != JK_INT)
        return fields_wrong(err, f->name, expected, v);
    int64_t x = json_as_int(v);
    if (x < (int64_t)f->min || x > (int64_t)f->max)
        return fields_wrong(err, f->name, expected, v);
    *(int *)place(f, into) = (int)x;
    return 0;
}

static int read_number(struct fields_ctx *ctx, const struct field *f,
                       const struct json *v, void *into, struct err *err)
{
    (void)ctx;
    char expected[80];
    snprintf(expected, sizeof expected, "a number %s %g and at most %g",
             f->open_min ? "above" : "of at least", f->min, f->max);
    double x = json_as_number(v);
    if (!json_numeric(v) || x > f->max || (f->open_min ? x <= f->min : x < f->min))
        return fields_wrong(err, f->name, expected, v);
    float y = (float)x;
    /* What is above the limit as a double stays above it as a float. */
    if (f->open_min && y <= (float)f->min)
        y = nextafterf((float)f->min, FLT_MAX);
    *(float *)place(f, into) = y;
    return 0;
}

static int read_bool(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                     void *into, struct err *err)
{
    (void)ctx;
    if (json_kind(v) != JK_BOOL)
        return fields_wrong(err, f->name, "true or false", v);
    *(bool *)place(f, into) = json_as_bool(v);
    return 0;
}

static int read_string(struct fields_ctx *ctx, const struct field *f,
                       const struct json *v, void *into, struct err *err)
{
    if (json_kind(v) != JK_STRING)
        return fields_wrong(err, f->name, "a string", v);
    size_t len;
    const char *s = json_as_string(v, &len);
    if (len > (size_t)f->max)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must be at most %.0f bytes long, not %zu", f->name, f->max,
                         len);
    if (memchr(s, '\0', len))
        return err_param(err, ERR_ARGUMENT, f->name, "`%s` must not contain U+0000",
                         f->name);
    char *copy = arena_strdup(ctx->arena, s, len);
    if (!copy)
        return err_set(err, ERR_MEMORY, "out of memory");
    *(const char **)place(f, into) = copy;
    return 0;
}

static int read_other(struct fields_ctx *ctx, const struct field *f, const struct json *v,
                      void *into, struct err *err)
{
    return f->read(ctx, f, v, into, err);
}

static int read_refused(struct fields_ctx *ctx, const struct field *f,
                        const struct json *v, void *into, struct err *err)
{
    (void)ctx;
    (void)into;
    enum json_kind kind = json_kind(v);
    bool empty = (kind == JK_ARRAY || kind == JK_OBJECT) && json_len(v) == 0;
    if (empty || (kind == JK_BOOL && !json_as_bool(v)))
        return 0;
    return err_param(err, ERR_UNSUPPORTED, f->name, "`%s` is not supported: %s", f->name,
                     f->why);
}

static field_fn *const readers[] = {
    [FIELD_INT] = read_int,     [FIELD_NUMBER] = read_number,
    [FIELD_BOOL] = read_bool,   [FIELD_STRING] = read_string,
    [FIELD_OTHER] = read_other, [FIELD_REFUSED] = read_refused,
};

struct walk {
    struct fields_ctx *ctx;
    const struct field_table *tables;
    size_t n_tables;
    struct err *err;
};

static int read_member(void *arg, const char *key, size_t key_len, const struct json *v)
{
    struct walk *w = arg;
    for (size_t t = 0; t < w->n_tables; t++)
        for (size_t i = 0; i < w->tables[t].n; i++) {
            const struct field *f = &w->tables[t].fields[i];
            if (strlen(f->name) != key_len || memcmp(f->name, key, key_len) != 0)
                continue;
            if (json_kind(v) == JK_NULL)
                return 0;
            return readers[f->type](w->ctx, f, v, w->tables[t].into, w->err);
        }
    w->ctx->n_unknown++;
    return 0;
}

int fields_read(struct fields_ctx *ctx, const struct json *object,
                const struct field_table *tables, size_t n_tables, struct err *err)
{
    struct walk w = {ctx, tables, n_tables, err};
    return json_each(object, read_member, &w);
}

int fields_parse(struct json **out, const char *body, size_t len, struct err *err)
{
    if (len == 0)
        return err_set(err, ERR_ARGUMENT, "the body is empty, expected a JSON object");
    struct json *j = NULL;
    if (json_parse(&j, body, len, err) != 0) {
        if (err)
            err->code = ERR_ARGUMENT;
        return -(int)ERR_ARGUMENT;
    }
    if (json_kind(j) != JK_OBJECT) {
        int rc = err_set(err, ERR_ARGUMENT, "the body must be a JSON object, not %s",
                         json_kind_name(j));
        json_free(j);
        return rc;
    }
    *out = j;
    return 0;
}
