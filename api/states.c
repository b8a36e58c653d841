/* Names, lists and the `state` members.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/states.h"

#include "api/problem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool states_is_name(const char *name, size_t len)
{
    if (len == 0 || len > STATES_NAME_BYTES || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!plain)
            return false;
    }
    return true;
}

int states_check_name(const char *field, const char *name, size_t len, struct err *err)
{
    if (states_is_name(name, len))
        return 0;
    return err_param(err, ERR_ARGUMENT, field,
                     "a state's name must be 1 to %d of A-Z a-z 0-9 . _ - and must not "
                     "begin with a point; it is no path and no URL (objects move between "
                     "servers by GET and PUT of /v1/states/{name})",
                     STATES_NAME_BYTES);
}

/* ---- objects ---------------------------------------------------------------- */

static void put_name(const char *name, struct buf *out)
{
    buf_puts(out, "{\"name\":");
    buf_json_string(out, name, strlen(name));
}

void states_put(const struct states_object *o, struct buf *out)
{
    put_name(o->name, out);
    buf_printf(out, ",\"object\":\"state\",\"bytes\":%" PRIu64 ",\"depth\":", o->bytes);
    if (o->depth > 0)
        buf_printf(out, "%d", o->depth);
    else
        buf_puts(out, "null");
    buf_printf(out, ",\"created\":%" PRId64 "}", o->created);
}

void states_list_begin(struct buf *out)
{
    buf_puts(out, "{\"object\":\"list\",\"data\":[");
}

void states_list_end(struct buf *out)
{
    buf_puts(out, "]}");
}

/* ---- completions ------------------------------------------------------------ */

static int read_name(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    char field[32];
    snprintf(field, sizeof field, "state.%s", f->name);
    if (value_kind(v) != VALUE_STRING)
        return fields_wrong(err, field, "the name of a state", v);
    char *name = value_text(v, ctx->arena);
    if (!name)
        return err_set(err, ERR_MEMORY, "out of memory");
    *(const char **)(void *)((char *)into + f->at) = name;
    return states_check_name(field, name, value_text_len(v), err);
}

int states_read_request(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err)
{
    static const struct field fields[] = {
        {"load", FIELD_OTHER, .at = offsetof(struct states_request, load),
         .read = read_name},
        {"save", FIELD_OTHER, .at = offsetof(struct states_request, save),
         .read = read_name},
    };
    if (value_kind(v) != VALUE_OBJECT)
        return fields_wrong(err, f->name, "an object with `load`, `save` or both", v);
    struct field_table table = {fields, 2, (char *)into + f->at};
    return fields_read(ctx, v, &table, err);
}

void states_put_result(const struct states_result *t, struct buf *out)
{
    buf_putc(out, '{');
    if (t->loaded) {
        buf_puts(out, "\"loaded\":");
        put_name(t->loaded, out);
        buf_printf(out, ",\"depth\":%d}", t->loaded_depth);
    }
    if (t->saved) {
        buf_puts(out, t->loaded ? ",\"saved\":" : "\"saved\":");
        put_name(t->saved, out);
        buf_printf(out, ",\"depth\":%d,\"bytes\":%" PRIu64 "}", t->saved_depth,
                   t->saved_bytes);
    }
    if (t->fault) {
        buf_puts(out, t->loaded ? ",\"error\":" : "\"error\":");
        problem_put(t->fault, out);
    }
    buf_putc(out, '}');
}
