/* Components of tokenizer.json, which may be Sequences of components: walks one member of
 * the root and reads each component by a table of the types that are honoured. */
#ifndef ENGINE_TOKENIZER_SEQUENCE_H
#define ENGINE_TOKENIZER_SEQUENCE_H

#include "engine/base/arena.h"
#include "engine/tokenizer/members.h"
#include "engine/tokenizer/pipeline.h"

struct sequence_reader {
    struct pipeline *p;
    struct arena *arena; /* of the strings that p borrows */
    struct err *err;
};

struct sequence_kind {
    const char *type; /* NULL ends a table */
    int (*read)(struct sequence_reader *r, const struct members *f);
    const char *const *keys; /* allowed besides type; NULL-ended */
};

struct sequence {
    const char *member; /* of the root, e.g. "pre_tokenizer" */
    const char *list;   /* the key of a Sequence's list, e.g. "pretokenizers" */
    const struct sequence_kind *kinds;
};

/* Absent and null are an empty Sequence. */
int sequence_walk(struct sequence_reader *r, const struct sequence *q,
                  const struct json *root);

/* A copy in the arena, as long as the pipeline; NULL after setting ERR_MEMORY. */
const char *sequence_keep(struct sequence_reader *r, const struct text *t);

/* A Regex or String pattern under key. */
int sequence_pattern(struct sequence_reader *r, const struct members *f, const char *key,
                     struct regex **out);

#endif
