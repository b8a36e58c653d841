/* Runs a pipeline's normalizer on one segment of text. Pure functions of const steps: any
 * thread. Unicode is utf8proc's (15.0), which knows more characters than older tokenizer
 * libraries; for characters assigned before that the normal forms agree by Unicode's
 * policy. */
#ifndef ENGINE_TOKENIZER_NORMAL_H
#define ENGINE_TOKENIZER_NORMAL_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/tokenizer/pipeline.h"

#include <stddef.h>
#include <stdint.h>

/* Replaces the content of `text`, which must be valid UTF-8, by its normalised form,
 * using `spare` for room. Linear time. ERR_MEMORY, or ERR_ARGUMENT from a pattern. */
int normal_run(const struct pipeline *p, struct buf *text, struct buf *spare,
               struct err *err);

/* The place of the grapheme cluster that holds text[at], at < len: normal forms and lower
 * case change a cluster by what is in it alone. Bytes that are not UTF-8 are clusters. */
void normal_cluster(const char *text, size_t len, size_t at, size_t *begin, size_t *end);

/* Unicode's White_Space and \w, for the added tokens that look at their neighbours. */
bool normal_is_space(uint32_t c);
bool normal_is_word(uint32_t c);

#endif
