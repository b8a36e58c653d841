/*
 * Events of sampled tokens, and the end of a sequence by an end token, a stop string, a
 * limit or from outside. Calls the engine's emit callback; allocates nothing. Engine
 * thread only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_EMIT_H
#define ENGINE_RUN_EMIT_H

#include "engine/run/runner.h"

void emit_start(struct runner *r, struct request *q);
void emit_load(struct runner *r, struct request *q, struct engine_lease *state);

/* Frees a request that waits. */
void emit_busy(struct runner *r, struct request *q);

/* The prompt's token t with its log-probability (out NULL: the first one has none). */
void emit_prompt(struct runner *r, struct seq *s, int t, const struct sample_out *out);

/* Appends s->next to the sequence, emits the tokens whose text is final, and finishes the
 * sequence if it has ended. False: it has; s, and with its last choice the request, may
 * be freed. */
bool emit_sampled(struct runner *r, struct seq *s);

/* Ends a sequence: emits the rest of its text and EVENT_FINISH, releases its slot and
 * pages; frees the request with its last choice. */
void emit_finish(struct runner *r, struct seq *s, enum finish_reason why);

#endif
