/* Runs a pipeline's normalizer on one segment of text. Pure functions of const steps;
 * any thread. Unicode is utf8proc's version (15.0). Older tokenizer libraries know
 * fewer characters; on those they know, the normal forms agree by Unicode's stability
 * policy.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_NORMAL_H
#define ENGINE_TOKENIZER_NORMAL_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/tokenizer/marks.h"
#include "engine/tokenizer/pipeline.h"

#include <stddef.h>
#include <stdint.h>

/* A text on its way through the steps. A zeroed struct is an empty one. */
struct normal_text {
    struct buf text;               /* owns; valid UTF-8 */
    struct buf marks;              /* owns; of its bytes, or empty: none is content */
    struct buf spare, spare_marks; /* own; scratch */
};

/* Makes t a copy of the text and its marks, which may be NULL. ERR_MEMORY. */
int normal_set(struct normal_text *t, const char *s, size_t len, const char *marks,
               struct err *err);
void normal_free(struct normal_text *t); /* and zeroes */

/* Normalises t in place; what a step makes of bytes has the largest of their marks. Linear
 * time. ERR_MEMORY, or ERR_ARGUMENT when a pattern exceeds its match limits. */
int normal_run(const struct pipeline *p, struct normal_text *t, struct err *err);

/* The place of the grapheme cluster that holds text[at], at < len: normal forms and lower
 * case change a cluster by what is in it alone. Bytes that are not UTF-8 are clusters. */
void normal_cluster(const char *text, size_t len, size_t at, size_t *begin, size_t *end);

/* Unicode's White_Space and \w, which lstrip, rstrip and single_word ask about. */
bool normal_is_space(uint32_t c);
bool normal_is_word(uint32_t c);

#endif
