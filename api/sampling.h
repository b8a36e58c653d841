/*
 * The fields that say how to generate, shared by every completion endpoint: their table,
 * and the checks between them. Lands in struct gen_params. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_SAMPLING_H
#define API_SAMPLING_H

#include "api/fields.h"
#include "engine/types.h"

struct sampling {
    struct gen_params gen; /* arrays borrow from the arena of the walk */
    bool has_seed;
};

/* What holds when no field is given: the model's values, where the limits have some. */
void sampling_defaults(struct sampling *s, int max_tokens,
                       const struct api_limits *limits);

/* The table, for fields_read. */
struct field_table sampling_table(struct sampling *s);

/* A reader of stop strings, whatever their field is called; f->at is that of the struct
 * sampling. */
int sampling_read_stop(struct fields_ctx *ctx, const struct field *f,
                       const struct value *v, void *into, struct err *err);

/* After the walk: checks between fields, against the context. */
int sampling_check(struct sampling *s, const struct api_limits *limits, struct err *err);

#endif
