/* Translates patterns from Oniguruma's Ruby syntax to PCRE2's: the common part of both,
 * rewritten where the two give it different meanings. Pure; any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_ONIG_TO_PCRE_H
#define ENGINE_TOKENIZER_ONIG_TO_PCRE_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

#include <stddef.h>

/* Appends the PCRE2 pattern to out, to be compiled with UTF and UCP. ERR_FORMAT names the
 * offset and the unsupported construct. The caller checks out->failed. */
int onig_to_pcre_translate(struct buf *out, const char *pattern, size_t len,
                           struct err *err);

#endif
