/* How many of a text's ids lie before a place in it. Pure functions of a const vocab; any
 * thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_DEPTHS_H
#define ENGINE_TOKENIZER_DEPTHS_H

#include "engine/base/ids.h"
#include "engine/tokenizer/vocab.h"
#include "engine/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets depths[i] to the number of ids that end at or before offsets[i], n ascending byte
 * offsets of the text that was encoded to these ids, without the post-processor's. Exact
 * where tokens spell the text, as byte-level ones do, and at its added tokens always; a
 * guess between those where a normalizer has changed it. Ascending, at most ids->n; linear
 * time. False: out of memory. */
bool depths_find(const struct vocab *v, const struct engine_text *t,
                 const struct ids *ids, const size_t *offsets, size_t n, int32_t *depths);

#endif
