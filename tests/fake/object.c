/*
 * State objects of the stand-in engine: the real format over states of its own kind.
 * FAKE_SLOT_BYTES is the size of the constant part, so that objects can be large.
 */
#include "engine/engine.h"
#include "engine/run/move.h"

#include <stdlib.h>

enum { VOCAB = 257, PAGE_BYTES = 1024, CONTEXT = 4096 };

/* The same for every engine of a process: a test runs one process a kind. */
static const struct object_kind *kind(void)
{
    static struct object_kind k;
    const char *slot = getenv("FAKE_SLOT_BYTES"), *model = getenv("FAKE_MODEL_HASH");
    k = (struct object_kind){.model_hash = model ? strtoull(model, NULL, 16) : 0xFAE,
                             .slot_bytes = slot ? strtoull(slot, NULL, 10) : 1024,
                             .page_bytes = PAGE_BYTES,
                             .weights = 1,
                             .vocab_size = VOCAB,
                             .max_tokens = CONTEXT};
    return &k;
}

int engine_object_peek(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct err *err)
{
    (void)e;
    return move_peek(kind(), fd, tenant, out, err);
}

int engine_incoming_open(struct engine_incoming **out, const struct engine *e,
                         const char *tenant, struct err *err)
{
    (void)e;
    return move_open(out, kind(), tenant, err);
}

int engine_incoming_put(struct engine_incoming *in, const void *data, size_t len,
                        struct err *err)
{
    return move_put(in, data, len, err);
}

int engine_incoming_end(struct engine_incoming *in, struct err *err)
{
    return move_end(in, err);
}

const struct engine_object *engine_incoming_object(struct engine_incoming *in)
{
    return move_object(in);
}

void engine_incoming_close(struct engine_incoming *in)
{
    move_close(in);
}
