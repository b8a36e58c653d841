/* Says in words what a tokenizer is made of, for people. Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_DESCRIBE_H
#define ENGINE_TOKENIZER_DESCRIBE_H

#include "engine/base/buf.h"
#include "engine/tokenizer/vocab.h"

/* Appends one line without its end: the model and its size, the steps of each stage, and
 * what is put around a text. Each step has the name of what it does, which need not be
 * the file's: Digits is a Split. out->failed: out of memory. */
void describe_vocab(const struct vocab *v, struct buf *out);

#endif
