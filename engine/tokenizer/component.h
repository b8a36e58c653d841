/* Reads the components of tokenizer.json: walks one member of the root, which may be a
 * Sequence of components, and reads each through a table of supported types.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_COMPONENT_H
#define ENGINE_TOKENIZER_COMPONENT_H

#include "engine/base/arena.h"
#include "engine/tokenizer/json_reader.h"
#include "engine/tokenizer/pipeline.h"

struct component_reader {
    struct pipeline *p;
    struct arena *arena; /* of the strings that p borrows */
    struct err *err;
};

struct component_kind {
    const char *type; /* NULL ends a table */
    int (*read)(struct component_reader *r, const struct json_reader *f);
    const char *const *keys; /* allowed besides type; NULL-ended */
};

struct component {
    const char *member; /* of the root, e.g. "pre_tokenizer" */
    const char *list;   /* the key of a Sequence's list, e.g. "pretokenizers" */
    const struct component_kind *kinds;
};

/* Reads each component of the member q names, in order; absent and null are an empty
 * Sequence. The first error ends the walk. */
int component_walk(struct component_reader *r, const struct component *q,
                   const struct json *root);

/* Copies the text into the arena, where it lives as long as the pipeline. NULL:
 * ERR_MEMORY was set. */
const char *component_keep(struct component_reader *r, const struct json_text *t);

/* Compiles the Regex or String pattern under key; the caller owns *out. ERR_FORMAT. */
int component_pattern(struct component_reader *r, const struct json_reader *f,
                      const char *key, struct regex **out);

#endif
