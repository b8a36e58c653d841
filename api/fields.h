/*
 * A request's fields as tables, and one walk over a JSON object by them. Any thread.
 *
 * A field is a row: name, type, limits and where its value lands. null is absent. A name
 * in no table is counted, not refused; a name that is known but not honoured is refused,
 * unless its value asks for nothing (false, [] or {}).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_FIELDS_H
#define API_FIELDS_H

#include "api/api.h"
#include "api/value.h"
#include "engine/base/arena.h"

/* What readers may use. */
struct fields_ctx {
    struct arena *arena; /* strings and arrays are copied into it */
    const struct api_limits *limits;
    size_t n_unknown; /* counted by fields_read */
};

struct field;

/* Reads v (never null) into the struct `into`; 0 or an error that names f->name. */
typedef int field_fn(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err);

enum field_type {
    FIELD_INT,    /* int; min..max */
    FIELD_NUMBER, /* float; min..max, or above min when open_min */
    FIELD_BOOL,   /* bool */
    FIELD_STRING, /* const char *, without U+0000; at most max bytes */
    FIELD_OTHER,  /* read does it */
    FIELD_REFUSED /* known but unsupported; why says why */
};

struct field {
    const char *name;
    enum field_type type;
    double min, max;
    bool open_min;
    size_t at; /* offset in `into` */
    field_fn *read;
    const char *why;
};

/* A table and the struct its offsets are in. */
struct field_table {
    const struct field *fields;
    size_t n;
    void *into;
};

/* Parses a body (body.h) and reads its members by the tables, in the document's order.
 * Members of no table are counted in ctx->n_unknown. What lands in `into` does not point
 * into the body. */
int fields_read_body(struct fields_ctx *ctx, const struct field_table *tables,
                     size_t n_tables, const char *body, size_t len, struct err *err);

/* The same walk over an object within it. */
int fields_read(struct fields_ctx *ctx, const struct value *object,
                const struct field_table *table, struct err *err);

/* What v is, in words or digits: a client's own string is never repeated. */
enum { FIELDS_SHOWN = 40 };
void fields_show(const struct value *v, char text[FIELDS_SHOWN]);

/* ERR_ARGUMENT: "`name` must be <expected>, not <what v is>". */
int fields_wrong(struct err *err, const char *name, const char *expected,
                 const struct value *v);

#endif
