/*
 * Text to ids and back, by a vocab.
 *
 * Pure functions of a const vocab: any thread, all memory of a call is the call's own.
 * The time is linear in the text (n log n for one long word). Input need not be valid
 * UTF-8: ill-formed bytes are read as U+FFFD, one for each maximal ill-formed part, as
 * every UTF-8 decoder does that feeds a tokenizer; the round trip then gives U+FFFD too.
 */
#ifndef ENGINE_TOKENIZER_BPE_H
#define ENGINE_TOKENIZER_BPE_H

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/ids.h"
#include "engine/engine.h"
#include "engine/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Appends the ids of text to out; flags are engine.h's ENCODE_*. On failure (ERR_MEMORY,
 * or ERR_ARGUMENT when a pattern of the tokenizer exceeds its match limits on this text)
 * out is as it was. */
int bpe_encode(const struct vocab *v, const char *text, size_t len, unsigned flags,
               struct ids *out, struct err *err);

/* Appends the bytes of ids to out, as stored: not always whole UTF-8. With skip_special,
 * special tokens give none. ERR_ARGUMENT for an id without a token. A decoder that strips
 * the first space (Metaspace) strips it here; a detok, which continues a text, does not.
 */
int bpe_decode(const struct vocab *v, const int32_t *ids, size_t n, bool skip_special,
               struct buf *out, struct err *err);

#endif
