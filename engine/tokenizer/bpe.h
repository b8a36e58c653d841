/*
 * Encodes text to ids and decodes ids to text with a vocab.
 *
 * Pure functions of a const vocab: they run on any thread and share no memory between
 * calls. Time is linear in the text (n log n for one long word). Text that is not valid
 * UTF-8 is accepted: each maximal ill-formed part becomes one U+FFFD, as in the decoders
 * of other languages, and decoding gives U+FFFD there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_TOKENIZER_BPE_H
#define ENGINE_TOKENIZER_BPE_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/ids.h"
#include "engine/tokenizer/vocab.h"
#include "engine/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends the ids of the text to out; flags are engine.h's ENCODE_*. Marks keep added
 * tokens from being found, and change nothing else: where content spells none, the ids are
 * those of the text without marks. On failure (ERR_MEMORY, or ERR_ARGUMENT when a pattern
 * of the tokenizer exceeds its match limits on this text) out is as it was. */
int bpe_encode(const struct vocab *v, const struct engine_text *text, unsigned flags,
               struct ids *out, struct err *err);

/* Appends the bytes of ids to out; they may end inside a UTF-8 sequence. skip_special
 * leaves special tokens out. Leading spaces that the decoder strips (Metaspace) are
 * stripped here, but not by detok, which continues a text. ERR_ARGUMENT for an id without
 * a token; ERR_MEMORY. */
int bpe_decode(const struct vocab *v, const int32_t *ids, size_t n, bool skip_special,
               struct buf *out, struct err *err);

#endif
