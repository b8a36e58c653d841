/*
 * State objects of the stand-in engine: the real format over states of its own kind.
 * FAKE_SLOT_BYTES is the size of the constant part, so that objects can be large;
 * FAKE_DISK_MS the time that reading or writing one takes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fake/object.h"

#include "engine/base/mem.h"
#include "engine/run/object_io.h"

#include <stdlib.h>
#include <time.h>

enum { PAGE_BYTES = 1024, CONTEXT = 4096 };

/* The same for every engine of a process: a test runs one process a kind. */
static struct object_kind the_kind;

void fake_kind_init(int vocab_size)
{
    const char *slot = getenv("FAKE_SLOT_BYTES"), *model = getenv("FAKE_MODEL_HASH");
    the_kind =
        (struct object_kind){.model_hash = model ? strtoull(model, NULL, 16) : 0xFAE,
                             .slot_bytes = slot ? strtoull(slot, NULL, 10) : 1024,
                             .page_bytes = PAGE_BYTES,
                             .weights = 1,
                             .vocab_size = vocab_size,
                             .max_tokens = CONTEXT};
}

static const struct object_kind *kind(void)
{
    return &the_kind;
}

uint64_t fake_kind_hash(void)
{
    return object_kind_hash(&the_kind);
}

/* ---- leases ------------------------------------------------------------------ */

/* The constant part is what nobody has touched: large ones take no memory. */
struct engine_lease *fake_state_new(size_t n_tokens)
{
    size_t n_pages = n_tokens / 16 + 1;
    struct engine_lease *s = mem_zalloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->constant = calloc(1, kind()->slot_bytes);
    s->pool = mem_zalloc(n_pages, PAGE_BYTES);
    s->table = mem_zalloc(n_pages, sizeof *s->table);
    s->said.ids = mem_zalloc(n_tokens + 1, sizeof *s->said.ids);
    if (s->constant && s->pool && s->table && s->said.ids) {
        for (size_t i = 0; i < n_pages; i++)
            s->table[i] = (int32_t)i;
        return s;
    }
    fake_state_free(s);
    return NULL;
}

void fake_state_free(struct engine_lease *s)
{
    if (!s)
        return;
    free(s->constant);
    mem_free(s->pool);
    mem_free(s->table);
    mem_free(s->said.ids);
    mem_free(s);
}

static void wait_for_disk(void)
{
    const char *ms = getenv("FAKE_DISK_MS");
    long n = ms ? atol(ms) : 0;
    struct timespec t = {n / 1000, n % 1000 * 1000000};
    if (n > 0)
        nanosleep(&t, NULL);
}

void engine_object_of(const struct engine *e, const struct engine_lease *s,
                      struct engine_object *out)
{
    (void)e;
    object_io_object_of(kind(), s, out);
}

int engine_object_save(const struct engine *e, const struct engine_lease *s, int fd,
                       const char *tenant, struct err *err)
{
    (void)e;
    wait_for_disk();
    return object_io_save(kind(), s, fd, tenant, err);
}

int engine_object_load(const struct engine *e, struct engine_lease *s, int fd,
                       const char *tenant, struct err *err)
{
    (void)e;
    wait_for_disk();
    return object_io_load(kind(), s, fd, tenant, err);
}

struct engine_lease *engine_persist_next(struct engine *e, bool all)
{
    (void)e, (void)all;
    return NULL;
}

void engine_lease_path_of(const struct engine_lease *s, struct engine_lease_path *out)
{
    *out = (struct engine_lease_path){"", "", s->said.ids, (int)s->said.n_ids};
}

const int32_t *engine_lease_unseen(const struct engine *e, const struct engine_lease *s,
                                   size_t *n, struct buf *text)
{
    (void)e, (void)text;
    *n = 0;
    return s->said.ids;
}

/* ---- objects ---------------------------------------------------------------- */

int engine_object_open(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct history *said, struct err *err)
{
    (void)e;
    return object_io_open_file(kind(), fd, tenant, out, said, err);
}

int engine_object_peek(const struct engine *e, int fd, const char *tenant,
                       struct engine_object *out, struct err *err)
{
    (void)e;
    return object_io_peek(kind(), fd, tenant, out, err);
}

int engine_upload_open(struct engine_upload **out, const struct engine *e,
                       const char *tenant, struct err *err)
{
    (void)e;
    return object_io_open(out, kind(), tenant, err);
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
