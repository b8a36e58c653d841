/* Both conversions walk the value by recursion, bounded by CHAT_VALUE_DEPTH. The texts of
 * a value are copied into one block, since small pieces of an arena are padded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_value.h"

#include "engine/base/buf.h"

#include <inttypes.h>
#include <string.h>

struct copy {
    struct arena *arena;
    char *text; /* where the next string goes */
    uint16_t mark;
    struct err *err;
};

/* What can be refused about one node of either walk. */
static int check(const struct body_path *at, const struct value *v, int depth,
                 struct err *err)
{
    if (depth > CHAT_VALUE_DEPTH)
        return body_path_error(err, ERR_ARGUMENT, at,
                               "is nested more than %d levels deep", CHAT_VALUE_DEPTH);
    if (value_kind(v) == VALUE_BEYOND)
        return body_path_error(err, ERR_ARGUMENT, at,
                               "is a number beyond 64 bits; send it as a string");
    return 0;
}

/* ---- as a template's value ---------------------------------------------------- */

/* A string's escapes are never shorter than what they stand for. */
static size_t text_bytes(const struct value *v)
{
    size_t n = 0;
    for (unsigned i = 0; i < v->span; i++)
        n += value_kind(&v[i]) == VALUE_STRING ? v[i].len + 1 : 0;
    return n;
}

static struct jinja_value copy_string(struct copy *c, const struct value *v)
{
    char *text = c->text;
    size_t len = value_peek(v, text, (size_t)v->len + 1);
    c->text += len + 1;
    return jinja_text(c->arena, text, len, c->mark);
}

static int copy_value(struct copy *c, const struct body_path *at, const struct value *v,
                      int depth, struct jinja_value *out);

static int copy_array(struct copy *c, const struct body_path *at, const struct value *v,
                      int depth, struct jinja_value *out)
{
    *out = jinja_list(c->arena);
    if (out->kind != JINJA_LIST)
        return err_no_memory(c->err);
    const struct value *x = value_first(v);
    for (size_t i = 0; i < value_len(v); i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        struct jinja_value item;
        int rc = copy_value(c, &here, x, depth + 1, &item);
        if (rc)
            return rc;
        if (!jinja_list_add(c->arena, out->list, item))
            return err_no_memory(c->err);
    }
    return 0;
}

static int copy_object(struct copy *c, const struct body_path *at, const struct value *v,
                       int depth, struct jinja_value *out)
{
    *out = jinja_dict(c->arena);
    if (out->kind != JINJA_DICT)
        return err_no_memory(c->err);
    const struct value *name = value_first(v);
    for (size_t i = 0; i < value_len(v); i++, name = value_next(name)) {
        struct body_path here = body_path_key(at, name);
        struct jinja_value key = copy_string(c, name), item;
        int rc = copy_value(c, &here, value_of(name), depth + 1, &item);
        if (rc)
            return rc;
        if (key.kind != JINJA_STRING || !jinja_dict_put(c->arena, out->dict, key, item))
            return err_no_memory(c->err);
    }
    return 0;
}

static int copy_value(struct copy *c, const struct body_path *at, const struct value *v,
                      int depth, struct jinja_value *out)
{
    int rc = check(at, v, depth, c->err);
    if (rc)
        return rc;
    switch (value_kind(v)) {
    case VALUE_ARRAY:
        return copy_array(c, at, v, depth, out);
    case VALUE_OBJECT:
        return copy_object(c, at, v, depth, out);
    case VALUE_STRING:
        *out = copy_string(c, v);
        return out->kind == JINJA_STRING ? 0 : err_no_memory(c->err);
    case VALUE_BOOL:
        *out = jinja_bool(value_bool(v));
        return 0;
    case VALUE_INT:
        *out = jinja_int(value_int(v));
        return 0;
    case VALUE_REAL:
        *out = jinja_real(value_number(v));
        return 0;
    default:
        *out = jinja_none();
        return 0;
    }
}

int chat_value_read(struct arena *arena, const struct body_path *at,
                    const struct value *v, uint16_t mark, struct jinja_value *out,
                    struct err *err)
{
    struct copy c = {.arena = arena, .mark = mark, .err = err};
    c.text = arena_alloc(arena, text_bytes(v) + 1);
    return c.text ? copy_value(&c, at, v, 0, out) : err_no_memory(err);
}

/* ---- as a text ---------------------------------------------------------------- */

int chat_value_text(struct arena *arena, const struct body_path *at,
                    const struct value *v, struct chat_text *out, struct err *err)
{
    if (value_kind(v) != VALUE_STRING)
        return body_path_wrong(err, at, "a string", v);
    char *text = value_text(v, arena);
    *out = (struct chat_text){text, value_text_len(v)};
    return text ? 0 : err_no_memory(err);
}

int chat_value_name(struct arena *arena, const struct body_path *at,
                    const struct value *object, const char *member, struct chat_text *out,
                    struct err *err)
{
    struct body_path here = body_path_member(at, member);
    int rc = chat_value_text(arena, &here, value_get(object, member), out, err);
    if (!rc && out->len == 0)
        rc = body_path_error(err, ERR_ARGUMENT, &here, "must not be empty");
    return rc;
}

/* ---- as JSON ------------------------------------------------------------------ */

struct writer {
    struct arena *arena;
    struct buf *out;
    struct err *err;
};

static int put_value(struct writer *w, const struct body_path *at, const struct value *v,
                     int depth);

static int put_string(struct writer *w, const struct value *v)
{
    char *text = value_text(v, w->arena);
    if (!text)
        return err_no_memory(w->err);
    buf_json_string(w->out, text, value_text_len(v));
    return 0;
}

static int put_array(struct writer *w, const struct body_path *at, const struct value *v,
                     int depth)
{
    int rc = 0;
    const struct value *x = value_first(v);
    buf_putc(w->out, '[');
    for (size_t i = 0; i < value_len(v) && !rc; i++, x = value_next(x)) {
        struct body_path here = body_path_element(at, i);
        if (i)
            buf_putc(w->out, ',');
        rc = put_value(w, &here, x, depth + 1);
    }
    buf_putc(w->out, ']');
    return rc;
}

static int put_object(struct writer *w, const struct body_path *at, const struct value *v,
                      int depth)
{
    int rc = 0;
    const struct value *name = value_first(v);
    buf_putc(w->out, '{');
    for (size_t i = 0; i < value_len(v) && !rc; i++, name = value_next(name)) {
        struct body_path here = body_path_key(at, name);
        if (i)
            buf_putc(w->out, ',');
        rc = put_string(w, name);
        buf_putc(w->out, ':');
        if (!rc)
            rc = put_value(w, &here, value_of(name), depth + 1);
    }
    buf_putc(w->out, '}');
    return rc;
}

/* A whole real keeps its point, so that it reads back as one. */
static void put_real(struct buf *out, double x)
{
    size_t from = out->len;
    buf_json_number(out, x);
    if (!out->failed && strspn(out->data + from, "-0123456789") == out->len - from)
        buf_puts(out, ".0");
}

static int put_value(struct writer *w, const struct body_path *at, const struct value *v,
                     int depth)
{
    int rc = check(at, v, depth, w->err);
    if (rc)
        return rc;
    switch (value_kind(v)) {
    case VALUE_ARRAY:
        return put_array(w, at, v, depth);
    case VALUE_OBJECT:
        return put_object(w, at, v, depth);
    case VALUE_STRING:
        return put_string(w, v);
    case VALUE_BOOL:
        buf_puts(w->out, value_bool(v) ? "true" : "false");
        return 0;
    case VALUE_INT:
        buf_printf(w->out, "%" PRId64, value_int(v));
        return 0;
    case VALUE_REAL:
        put_real(w->out, value_number(v));
        return 0;
    default:
        buf_puts(w->out, "null");
        return 0;
    }
}

int chat_value_json(struct arena *arena, const struct body_path *at,
                    const struct value *v, struct chat_text *out, struct err *err)
{
    struct buf b = {0};
    struct writer w = {arena, &b, err};
    int rc = put_value(&w, at, v, 0);
    char *text = rc || b.failed ? NULL : arena_strdup(arena, b.data, b.len);
    *out = (struct chat_text){text, b.len};
    if (!rc && !text)
        rc = err_no_memory(err);
    buf_free(&b);
    return rc;
}
