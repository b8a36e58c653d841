/*
 * From sampled tokens to events: end tokens, stop strings, limits, and the end of a
 * sequence. Engine thread; allocates nothing.
 */
#ifndef ENGINE_RUN_EMIT_H
#define ENGINE_RUN_EMIT_H

#include "engine/run/runner.h"

void emit_start(struct runner *r, struct request *q);
void emit_load(struct runner *r, struct request *q, struct engine_lease *state);

/* The prompt's token t with its log-probability (out NULL: the first one has none). */
void emit_prompt(struct runner *r, struct seq *s, int t, const struct sample_out *out);

/* Takes s->next as the next token: appends it, emits what became certain, and finishes
 * the sequence when it has ended. False: then s, and with its last choice the request,
 * may be gone. */
bool emit_sampled(struct runner *r, struct seq *s);

/* Ends a sequence: flushes its text, emits EVENT_FINISH, gives its state back; frees the
 * request with its last choice. */
void emit_finish(struct runner *r, struct seq *s, enum finish_reason why);

#endif
