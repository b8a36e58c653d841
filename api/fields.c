/* The walk over a request's members. Each type of field is one row of `readers`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/fields.h"

#include "api/body.h"

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

void fields_show(const struct value *v, char text[FIELDS_SHOWN])
{
    if (value_kind(v) == VALUE_INT)
        snprintf(text, FIELDS_SHOWN, "%" PRId64, value_int(v));
    else if (value_kind(v) == VALUE_REAL)
        describe_real(value_number(v), text, FIELDS_SHOWN);
    else if (value_kind(v) == VALUE_BOOL)
        snprintf(text, FIELDS_SHOWN, "%s", value_bool(v) ? "true" : "false");
    else
        snprintf(text, FIELDS_SHOWN, "%s", value_kind_name(v));
}

int fields_wrong(struct err *err, const char *name, const char *expected,
                 const struct value *v)
{
    char found[FIELDS_SHOWN];
    fields_show(v, found);
    return err_param(err, ERR_ARGUMENT, name, "`%s` must be %s, not %s", name, expected,
                     found);
}

static void *place(const struct field *f, void *into)
{
    return (char *)into + f->at;
}

static int read_int(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                    void *into, struct err *err)
{
    (void)ctx;
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %.0f to %.0f", f->min, f->max);
    if (value_kind(v) != VALUE_INT)
        return fields_wrong(err, f->name, expected, v);
    int64_t x = value_int(v);
    if (x < (int64_t)f->min || x > (int64_t)f->max)
        return fields_wrong(err, f->name, expected, v);
    *(int *)place(f, into) = (int)x;
    return 0;
}

static int read_number(struct fields_ctx *ctx, const struct field *f,
                       const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    char expected[80];
    snprintf(expected, sizeof expected, "a number %s %g and at most %g",
             f->open_min ? "above" : "of at least", f->min, f->max);
    double x = value_number(v);
    if (!value_numeric(v) || x > f->max || (f->open_min ? x <= f->min : x < f->min))
        return fields_wrong(err, f->name, expected, v);
    float y = (float)x;
    /* What is above the limit as a double stays above it as a float. */
    if (f->open_min && y <= (float)f->min)
        y = nextafterf((float)f->min, FLT_MAX);
    *(float *)place(f, into) = y;
    return 0;
}

static int read_bool(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    (void)ctx;
    if (value_kind(v) != VALUE_BOOL)
        return fields_wrong(err, f->name, "true or false", v);
    *(bool *)place(f, into) = value_bool(v);
    return 0;
}

static int read_string(struct fields_ctx *ctx, const struct field *f,
                       const struct value *v, void *into, struct err *err)
{
    if (value_kind(v) != VALUE_STRING)
        return fields_wrong(err, f->name, "a string", v);
    size_t len = value_text_len(v);
    if (len > (size_t)f->max)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` must be at most %.0f bytes long, not %zu", f->name, f->max,
                         len);
    char *copy = value_text(v, ctx->arena);
    if (!copy)
        return err_set(err, ERR_MEMORY, "out of memory");
    if (memchr(copy, '\0', len))
        return err_param(err, ERR_ARGUMENT, f->name, "`%s` must not contain U+0000",
                         f->name);
    *(const char **)place(f, into) = copy;
    return 0;
}

static int read_other(struct fields_ctx *ctx, const struct field *f,
                      const struct value *v, void *into, struct err *err)
{
    return f->read(ctx, f, v, into, err);
}

static int read_refused(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err)
{
    (void)ctx;
    (void)into;
    enum value_kind kind = value_kind(v);
    bool empty = (kind == VALUE_ARRAY || kind == VALUE_OBJECT) && value_len(v) == 0;
    if (empty || (kind == VALUE_BOOL && !value_bool(v)))
        return 0;
    return err_param(err, ERR_UNSUPPORTED, f->name, "`%s` is not supported: %s", f->name,
                     f->why);
}

static field_fn *const readers[] = {
    [FIELD_INT] = read_int,     [FIELD_NUMBER] = read_number,
    [FIELD_BOOL] = read_bool,   [FIELD_STRING] = read_string,
    [FIELD_OTHER] = read_other, [FIELD_REFUSED] = read_refused,
};

/* ---- the walk ---------------------------------------------------------------- */

struct walk {
    const struct field_table *tables;
    size_t n_tables;
};

/* The field of that name and the table it is in; NULL: unknown. */
static const struct field *find(const struct walk *w, const struct value *name,
                                const struct field_table **in)
{
    for (size_t t = 0; t < w->n_tables; t++)
        for (size_t i = 0; i < w->tables[t].n; i++)
            if (value_is(name, w->tables[t].fields[i].name)) {
                *in = &w->tables[t];
                return &w->tables[t].fields[i];
            }
    return NULL;
}

static bool is_known(const void *walk, const struct value *name)
{
    const struct field_table *in;
    return find(walk, name, &in) != NULL;
}

static int read_members(struct fields_ctx *ctx, const struct walk *w,
                        const struct value *object, struct err *err)
{
    const struct value *name = value_first(object);
    int rc = 0;
    for (size_t i = 0; i < value_len(object) && !rc; i++, name = value_next(name)) {
        const struct field_table *in;
        const struct field *f = find(w, name, &in);
        ctx->n_unknown += !f;
        if (f && value_kind(value_of(name)) != VALUE_NULL)
            rc = readers[f->type](ctx, f, value_of(name), in->into, err);
    }
    return rc;
}

int fields_read(struct fields_ctx *ctx, const struct value *object,
                const struct field_table *table, struct err *err)
{
    struct walk w = {table, 1};
    return read_members(ctx, &w, object, err);
}

int fields_read_body(struct fields_ctx *ctx, const struct field_table *tables,
                     size_t n_tables, const char *body, size_t len, struct err *err)
{
    struct walk w = {tables, n_tables};
    struct body b;
    int rc = body_parse(&b, body, len, is_known, &w, err);
    if (rc)
        return rc;
    ctx->n_unknown += b.n_unknown;
    rc = read_members(ctx, &w, b.values, err);
    body_free(&b);
    return rc;
}
