/* Small tokenizers for tests: the 256 byte tokens as ids 0..255 in the byte-level
 * alphabet, then merges, then whatever a test adds.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_TINY_TOKENIZER_H
#define TESTS_LIB_TINY_TOKENIZER_H

#include "engine/base/buf.h"
#include "engine/tokenizer/vocab.h"

struct tiny_tokenizer { /* JSON texts; NULL = the default in brackets */
    const char *const
        *merges;       /* pairs of raw texts, NULL-ended; merge i gives id 256 + i */
    const char *added; /* [[]] the list of added tokens */
    const char *normalizer, *post; /* [null] */
    const char *pre;               /* [ByteLevel without regex or space] */
    const char *decoder;           /* [ByteLevel] */
    const char *model; /* [nothing] further members of model, with a comma behind */
};

void tiny_tokenizer_json(struct buf *out, const struct tiny_tokenizer *t);

/* The vocab itself; a failure fails the test. */
struct vocab *tiny_tokenizer_vocab(const struct tiny_tokenizer *t);

#endif
