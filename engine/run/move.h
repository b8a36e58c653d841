/*
 * States that come in and go out: what this engine's state objects are, those that arrive
 * over the wire, and files into and out of states on loan. Any thread; of the pools only
 * what is lent (lend.h) is touched.
 */
#ifndef ENGINE_RUN_MOVE_H
#define ENGINE_RUN_MOVE_H

#include "engine/engine.h"
#include "engine/model/model.h"
#include "engine/state/object.h"

/* What the bits of this model's states depend on. */
struct object_kind move_kind(const struct model *m, uint64_t tokenizer_hash);

/* engine_object_*, engine_incoming_*: see engine.h. kind is borrowed until close. */
void move_object_of(const struct object_kind *k, const struct engine_state *s,
                    struct engine_object *out);
int move_save(const struct object_kind *k, const struct engine_state *s, int fd,
              const char *tenant, struct err *err);
int move_load(const struct object_kind *k, struct engine_state *s, int fd,
              const char *tenant, struct err *err);
int move_tokens(const struct object_kind *k, int fd, const char *tenant,
                struct engine_object *out, struct ids *tokens, struct err *err);
int move_peek(const struct object_kind *k, int fd, const char *tenant,
              struct engine_object *out, struct err *err);
int move_open(struct engine_incoming **out, const struct object_kind *k,
              const char *tenant, struct err *err);
int move_put(struct engine_incoming *in, const void *data, size_t len, struct err *err);
int move_end(struct engine_incoming *in, struct err *err);
const struct engine_object *move_object(struct engine_incoming *in);
void move_close(struct engine_incoming *in);

#endif
