/*
 * The engine's door for measurements: what a step costs, what the machine can do, what
 * memory is left. Engine thread, but for engine_available, which any thread may call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MEASURE_H
#define ENGINE_MEASURE_H

#include "engine/base/err.h"
#include "engine/types.h"

struct engine_options; /* engine.h */

/* What a step over this batch must read, write and compute at the least. */
void engine_cost(const struct engine *e, const struct engine_batch *b,
                 struct engine_cost *out);

/* Runs a piece of work for the engine's threads that only memory or the processor's
 * multipliers limit, and stores its bytes or operations; the caller takes the time. The
 * first call may allocate: ERR_MEMORY. */
int engine_peak(struct engine *e, enum engine_peak what, double *amount, struct err *err);

/* What a model is and what it needs, from its configuration and the names and shapes of
 * its tensors. */
struct engine_sizes {
    char arch[64]; /* config.json: model_type */
    int n_layers, hidden_size, vocab_size, context_tokens, page_tokens;
    int64_t n_params;
    int n_left_out; /* tensors of the files that are left out on purpose */
    size_t left_out_bytes;
    size_t weights_bytes, slot_bytes, page_bytes;
    struct engine_layer_kind layers[ENGINE_MAX_LAYER_KINDS];
    int n_layer_kinds;
};

/* Of o's model_dir or shape, context_tokens, weights and kv, as engine_open would have
 * them. No value of a matrix is read, so a model of any size takes little memory and time.
 * Refuses what engine_open refuses but for values and the tokenizer. Needs no engine. */
int engine_sizes(const struct engine_options *o, struct engine_sizes *out,
                 struct err *err);

/* Gives the memory of slots and pages back to the system, if nothing is in them: what is
 * resident afterwards is what later requests touch. */
void engine_trim(struct engine *e);

/* Bytes that this process may still take; 0 = unknown. */
size_t engine_available(void);

#endif
