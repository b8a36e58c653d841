/* The door for states as bytes: leases go to run/lease.c, objects and uploads to
 * run/object_io.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/objects.h"

#include "engine/engine_priv.h"
#include "engine/run/lease.h"
#include "engine/run/object_io.h"
#include "engine/tokenizer/match.h"

void engine_lease_release(struct engine *e, struct engine_lease *s, bool good)
{
    lease_release(&e->runner, s, good);
}

struct engine_lease *engine_persist_next(struct engine *e, bool all)
{
    return lease_persist_next(&e->runner, all);
}

void engine_lease_path_of(const struct engine_lease *s, struct engine_lease_path *out)
{
    *out = (struct engine_lease_path){.tenant = s->key,
                                      .cache_salt = s->key + s->tenant_len,
                                      .tokens = s->said.ids,
                                      .n_tokens = (int)s->said.n_ids};
}

const int32_t *engine_lease_unseen(const struct engine *e, const struct engine_lease *s,
                                   size_t *n, struct buf *text)
{
    *n = history_unseen(&s->said);
    if (e->vocab)
        match_unseen(e->vocab, &s->said, text);
    return s->said.ids + s->said.n_ids - *n;
}

void engine_object_of(const struct engine *e, const struct engine_lease *s,
                      struct engine_object *out)
{
    object_io_object_of(&e->kind, s, out);
}

int engine_object_save(const struct engine *e, const struct engine_lease *s, int fd,
                       const char *tenant, struct err *err)
{
    return object_io_save(&e->kind, s, fd, tenant, err);
}

int engine_object_load(const struct engine *e, struct engine_lease *s, int fd,
                       const char *tenant, struct err *err)
{
    return object_io_load(&e->kind, s, fd, tenant, err);
}

int engine_object_open(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct history *said, struct err *err)
{
    return object_io_open_file(&e->kind, fd, tenant, out, said, err);
}

int engine_object_peek(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct err *err)
{
    return object_io_peek(&e->kind, fd, tenant, out, err);
}

int engine_upload_open(struct engine_upload **out, const struct engine *e,
                       const char *tenant, struct err *err)
{
    return object_io_open(out, &e->kind, tenant, err);
}

int engine_upload_put(struct engine_upload *in, const void *data, size_t len,
                      struct err *err)
{
    return object_io_put(in, data, len, err);
}

int engine_upload_end(struct engine_upload *in, struct err *err)
{
    return object_io_end(in, err);
}

const struct engine_object *engine_upload_object(struct engine_upload *in)
{
    return object_io_object(in);
}

void engine_upload_close(struct engine_upload *in)
{
    object_io_close(in);
}
