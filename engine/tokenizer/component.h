/* Components of tokenizer.json, which may be Sequences of components: walks one member of
 * the root and reads each component by a table of the types that are honoured. */
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

/* Absent and null are an empty Sequence. */
int component_walk(struct component_reader *r, const struct component *q,
                   const struct json *root);

/* A copy in the arena, as long as the pipeline; NULL after setting ERR_MEMORY. */
const char *component_keep(struct component_reader *r, const struct json_text *t);

/* A Regex or String pattern under key. */
int component_pattern(struct component_reader *r, const struct json_reader *f,
                      const char *key, struct regex **out);

#endif
