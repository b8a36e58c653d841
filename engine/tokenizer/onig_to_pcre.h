/* Oniguruma's Ruby syntax to PCRE2's: the part that both share, rewritten where they read
 * one text differently. Pure; any thread. */
#ifndef ENGINE_TOKENIZER_ONIG_TO_PCRE_H
#define ENGINE_TOKENIZER_ONIG_TO_PCRE_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

#include <stddef.h>

/* Appends the PCRE2 pattern to out, to be compiled with UTF and UCP. ERR_FORMAT names the
 * offset and the construct that is not honoured; a full out is for the caller to check.
 */
int onig_to_pcre_translate(struct buf *out, const char *pattern, size_t len,
                           struct err *err);

#endif
