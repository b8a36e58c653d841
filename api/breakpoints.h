/* cache_breakpoints: the depths of a prompt, in tokens, at which the client asks for a
 * checkpoint. Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_BREAKPOINTS_H
#define API_BREAKPOINTS_H

#include "api/fields.h"

enum { BREAKPOINTS_MAX = 16 };

struct breakpoints {
    const int32_t *depths; /* borrows from the request's arena; ascending, 1 or more */
    size_t n;
};

/* A `struct breakpoints` at f->at. */
int breakpoints_read(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err);

/* ERR_ARGUMENT for the first that is beyond a prompt of n_ids tokens. */
int breakpoints_check(const struct breakpoints *b, size_t n_ids, struct err *err);

#endif
