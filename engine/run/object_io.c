/* The door's calls for state objects, over engine/state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/object_io.h"

#include "engine/base/mem.h"
#include "engine/run/lease.h"
#include "engine/run/runner.h"
#include "engine/state/object_file.h"
#include "engine/tokenizer/bpe.h"

#include <string.h>

static uint32_t rope_length(const struct model *m)
{
    int n = m->context > m->hp.max_position ? m->context : m->hp.max_position;
    return m->rope_by_length ? (uint32_t)n : 0;
}

struct object_kind object_io_kind(const struct model *m, uint64_t tokenizer_hash)
{
    return (struct object_kind){.model_hash = m->hash,
                                .tokenizer_hash = tokenizer_hash,
                                .slot_bytes = runner_slot_bytes(m),
                                .page_bytes = m->page_bytes,
                                .weights = m->type_mask,
                                .kv = (uint32_t)m->kv,
                                .math = m->blas,
                                .rope_length = rope_length(m),
                                .vocab_size = m->hp.vocab_size,
                                .max_tokens = m->context};
}

static struct engine_object object_of(const struct object_head *h)
{
    return (struct engine_object){
        .bytes = h->bytes, .depth = h->depth, .n_tokens = h->n_tokens};
}

int object_io_peek(const struct object_kind *k, int fd, const char *tenant,
                   struct engine_object *out, struct err *err)
{
    struct object_head h;
    int rc = object_file_peek(&h, fd, k, tenant, err);
    if (rc == 0)
        *out = object_of(&h);
    return rc;
}

int object_io_open_file(const struct object_kind *k, int fd, const char *tenant,
                        struct engine_object *out, struct history *said, struct err *err)
{
    struct object_head h;
    int rc = object_file_open(&h, said, fd, k, tenant, err);
    if (rc == 0)
        *out = object_of(&h);
    return rc;
}

/* ---- leases ----------------------------------------------------------------- */

static struct object_head head_of(const struct object_kind *k,
                                  const struct engine_lease *s, const char *tenant)
{
    struct object_head h;
    object_head(&h, k, tenant, s->depth, (int)s->said.n_ids, (int)s->said.n_ends);
    return h;
}

void object_io_object_of(const struct object_kind *k, const struct engine_lease *s,
                         struct engine_object *out)
{
    struct object_head h = head_of(k, s, "");
    *out = object_of(&h);
}

int object_io_save(const struct object_kind *k, const struct engine_lease *s, int fd,
                   const char *tenant, struct err *err)
{
    struct object_head h = head_of(k, s, tenant);
    struct object_file_state from = {s->constant, s->pool, s->table};
    return object_file_save(fd, &h, &s->said, k, &from, err);
}

int object_io_load(const struct object_kind *k, struct engine_lease *s, int fd,
                   const char *tenant, struct err *err)
{
    struct object_head h;
    struct object_file_state to = {s->constant, s->pool, s->table};
    int rc = object_file_peek(&h, fd, k, tenant, err);
    if (rc == 0 && h.depth != s->depth)
        rc = object_differs(err, "depth", (uint64_t)s->depth, (uint64_t)h.depth);
    return rc ? rc : object_file_load(fd, &h, k, &to, err);
}

/* ---- incoming --------------------------------------------------------------- */

struct engine_upload {
    struct object_check check;
    struct engine_object object;
    char tenant[OBJECT_TENANT_BYTES];
};

int object_io_open(struct engine_upload **out, const struct object_kind *k,
                   const char *tenant, struct err *err)
{
    struct engine_upload *in = mem_zalloc(1, sizeof *in);
    if (!in)
        return err_set(err, ERR_MEMORY, "out of memory for a state object");
    strncpy(in->tenant, tenant, sizeof in->tenant - 1);
    int rc = object_check_begin(&in->check, k, in->tenant, err);
    if (rc)
        mem_free(in);
    else
        *out = in;
    return rc;
}

int object_io_put(struct engine_upload *in, const void *data, size_t len, struct err *err)
{
    return object_check_put(&in->check, data, len, err);
}

int object_io_end(struct engine_upload *in, struct err *err)
{
    return object_check_end(&in->check, err);
}

const struct engine_object *object_io_object(struct engine_upload *in)
{
    if (!in->check.head.bytes)
        return NULL;
    in->object = object_of(&in->check.head);
    return &in->object;
}

void object_io_close(struct engine_upload *in)
{
    if (!in)
        return;
    object_check_free(&in->check);
    mem_free(in);
}
