/*
 * State objects on the wire: their names, the list of a tenant's objects, the object that
 * was stored, and the `state` member of a completion request. Any thread.
 *
 * A name is [A-Za-z0-9_-][A-Za-z0-9._-]{0,63}: never a path, never hidden, never a URL.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_STATES_H
#define API_STATES_H

#include "api/fields.h"
#include "engine/base/buf.h"
#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STATES_NAME_BYTES = 64 }; /* at most, without the NUL */

bool states_is_name(const char *name, size_t len);

/* ERR_ARGUMENT with param = field ("" for the path's) unless it is a name. */
int states_check_name(const char *field, const char *name, size_t len, struct err *err);

/* One object as JSON: {"name","object":"state","bytes","depth","created"}. depth below 1:
 * null, it cannot be loaded here. */
struct states_object {
    const char *name;
    uint64_t bytes;
    int depth;
    int64_t created; /* unix seconds */
};
void states_put(const struct states_object *o, struct buf *out);

/* The list: between these two, states_put of each object, with commas. */
void states_list_begin(struct buf *out);
void states_list_end(struct buf *out);

/* `state` of a completion request; NULL: not asked for. Both borrow from the request's
 * arena and are names. */
struct states_request {
    const char *load, *save;
};

/* A `struct states_request` at f->at. */
int states_read_request(struct fields_ctx *ctx, const struct field *f,
                        const struct value *v, void *into, struct err *err);

/* The states that a completion loaded and saved; a NULL name: none. A fault of saving does
 * not take the answer away. */
struct states_result {
    const char *loaded, *saved;
    int loaded_depth, saved_depth;
    uint64_t saved_bytes;
    const struct err *fault; /* why nothing was saved; NULL: nothing went wrong */
};
/* {"loaded":{"name","depth"},"saved":{"name","depth","bytes"},"error":{…}}, absent parts
 * left out. */
void states_put_result(const struct states_result *t, struct buf *out);

#endif
