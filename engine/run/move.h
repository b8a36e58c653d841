/*
 * States that come in and go out: what this engine's state objects are, and checking
 * those that arrive. Any thread; nothing here touches the pools.
 */
#ifndef ENGINE_RUN_MOVE_H
#define ENGINE_RUN_MOVE_H

#include "engine/engine.h"
#include "engine/model/model.h"
#include "engine/state/object.h"

/* What the bits of this model's states depend on. */
struct object_kind move_kind(const struct model *m, uint64_t tokenizer_hash);

/* engine_object_peek, engine_incoming_*: see engine.h. kind is borrowed until close. */
int move_peek(const struct object_kind *k, int fd, const char *tenant,
              struct engine_object *out, struct err *err);
int move_open(struct engine_incoming **out, const struct object_kind *k,
              const char *tenant, struct err *err);
int move_put(struct engine_incoming *in, const void *data, size_t len, struct err *err);
int move_end(struct engine_incoming *in, struct err *err);
const struct engine_object *move_object(struct engine_incoming *in);
void move_close(struct engine_incoming *in);

#endif
