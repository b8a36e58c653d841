/* The head's layout, the order of its checks, and objects that come in pieces.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/object.h"

#include "engine/kernel/kernel.h"

#include <inttypes.h>
#include <string.h>

enum { ALIGN = 64 };

static const char MAGIC[8] = {'S', 'S', 'M', 'D', 'S', 'T', 'A', 'T'};

/* The head as it lies in the file. */
struct wire {
    char magic[8];
    uint32_t layout, head_bytes; /* with tokens, ends and padding */
    uint64_t object_bytes;
    uint64_t head_hash; /* of head_bytes, this field as zero */
    uint64_t body_hash;
    uint64_t model_hash, tokenizer_hash;
    uint64_t slot_bytes, page_bytes;
    uint32_t page_tokens, weights, kv, math, rope_length;
    uint32_t depth, n_tokens, n_pages, n_ends;
    char zero[20];
    char tenant[OBJECT_TENANT_BYTES];
    char zero_too[64];
};

_Static_assert(sizeof(struct wire) == OBJECT_HEAD_BYTES, "the head has no padding");
_Static_assert(sizeof(struct answer_end) == 4 * sizeof(int32_t), "nor has an end");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the host's order is the file's");

/* ---- sizes ------------------------------------------------------------------ */

static uint64_t body_at(int n_tokens, int n_ends)
{
    uint64_t n = OBJECT_HEAD_BYTES + (uint64_t)n_tokens * sizeof(int32_t) +
                 (uint64_t)n_ends * sizeof(struct answer_end);
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int pages_of(const struct object_kind *k, int depth)
{
    return k->page_bytes ? (depth + PAGE_TOKENS - 1) / PAGE_TOKENS : 0;
}

/* ---- the head --------------------------------------------------------------- */

void object_head(struct object_head *h, const struct object_kind *k, const char *tenant,
                 int depth, int n_tokens, int n_ends)
{
    *h = (struct object_head){.layout = OBJECT_LAYOUT,
                              .depth = depth,
                              .n_tokens = n_tokens,
                              .n_ends = n_ends,
                              .n_pages = pages_of(k, depth),
                              .body_at = body_at(n_tokens, n_ends)};
    h->bytes = h->body_at + k->slot_bytes + (uint64_t)h->n_pages * k->page_bytes;
    strncpy(h->tenant, tenant, sizeof h->tenant - 1);
}

static struct wire wire_of(const struct object_head *h, const struct object_kind *k)
{
    struct wire w = {.layout = (uint32_t)h->layout,
                     .head_bytes = (uint32_t)h->body_at,
                     .object_bytes = h->bytes,
                     .body_hash = h->body_hash,
                     .model_hash = k->model_hash,
                     .tokenizer_hash = k->tokenizer_hash,
                     .slot_bytes = k->slot_bytes,
                     .page_bytes = k->page_bytes,
                     .page_tokens = PAGE_TOKENS,
                     .weights = k->weights,
                     .kv = k->kv,
                     .math = k->math,
                     .rope_length = k->rope_length,
                     .depth = (uint32_t)h->depth,
                     .n_tokens = (uint32_t)h->n_tokens,
                     .n_pages = (uint32_t)h->n_pages,
                     .n_ends = (uint32_t)h->n_ends};
    memcpy(w.magic, MAGIC, sizeof MAGIC);
    memcpy(w.tenant, h->tenant, sizeof w.tenant);
    return w;
}

uint64_t object_kind_hash(const struct object_kind *k)
{
    struct object_head of_none;
    object_head(&of_none, k, "", 0, 0, 0);
    struct wire w = wire_of(&of_none, k);
    return hash_bytes(&w, sizeof w);
}

void object_write(void *to, struct object_head *h, const struct object_kind *k,
                  const struct history *said)
{
    struct wire w = wire_of(h, k);
    char *at = (char *)to + sizeof w;
    size_t n_ids = said->n_ids * sizeof *said->ids;
    memset(to, 0, h->body_at);
    memcpy(to, &w, sizeof w);
    memcpy(at, said->ids, n_ids);
    if (said->n_ends)
        memcpy(at + n_ids, said->ends, said->n_ends * sizeof *said->ends);
    w.head_hash = h->head_hash = hash_bytes(to, h->body_at);
    memcpy(to, &w, sizeof w);
}

int object_differs(struct err *err, const char *what, uint64_t expected, uint64_t found)
{
    return err_set(err, ERR_CONFLICT,
                   "state object: %s: expected %" PRIu64 ", found %" PRIu64, what,
                   expected, found);
}

int object_differs_hash(struct err *err, const char *what, uint64_t expected,
                        uint64_t found)
{
    return err_set(err, ERR_CONFLICT,
                   "state object: %s: expected %016" PRIx64 ", found %016" PRIx64, what,
                   expected, found);
}

/* The sizes that all others follow from. */
static int check_counts(const struct wire *w, const struct object_kind *k,
                        struct err *err)
{
    if (memcmp(w->magic, MAGIC, sizeof MAGIC) != 0)
        return err_set(err, ERR_CONFLICT, "state object: it does not begin as one");
    if (w->layout < 1 || w->layout > OBJECT_LAYOUT)
        return err_set(err, ERR_CONFLICT,
                       "state object: layout: expected 1 to %d, found %" PRIu32,
                       OBJECT_LAYOUT, w->layout);
    if (w->n_tokens < 1 || w->n_tokens > (uint32_t)k->max_tokens)
        return err_set(err, ERR_CONFLICT,
                       "state object: tokens: expected 1 to %d, found %" PRIu32,
                       k->max_tokens, w->n_tokens);
    if (w->depth < 1 || w->depth > w->n_tokens || w->n_tokens - w->depth > 1)
        return err_set(err, ERR_CONFLICT,
                       "state object: depth: expected %" PRIu32
                       " tokens or one less, found %" PRIu32,
                       w->n_tokens, w->depth);
    uint32_t most = w->layout < 2 ? 0 : w->n_tokens;
    if (w->n_ends > most)
        return err_set(err, ERR_CONFLICT,
                       "state object: ends: expected 0 to %" PRIu32 ", found %" PRIu32,
                       most, w->n_ends);
    return 0;
}

/* Everything else that an object of these counts, made here, would say. */
static int check_kind(const struct wire *w, const struct wire *own, struct err *err)
{
    const struct {
        const char *what;
        uint64_t own, found;
    } rows[] = {
        {"weights' types (bits)", own->weights, w->weights},
        {"K/V type", own->kv, w->kv},
        {"math mode", own->math, w->math},
        {"rotary length", own->rope_length, w->rope_length},
        {"bytes of the constant part", own->slot_bytes, w->slot_bytes},
        {"bytes of a page", own->page_bytes, w->page_bytes},
        {"tokens of a page", own->page_tokens, w->page_tokens},
        {"pages", own->n_pages, w->n_pages},
        {"bytes of the head", own->head_bytes, w->head_bytes},
        {"bytes", own->object_bytes, w->object_bytes},
    };
    if (w->model_hash != own->model_hash)
        return object_differs_hash(err, "model", own->model_hash, w->model_hash);
    if (w->tokenizer_hash != own->tokenizer_hash)
        return object_differs_hash(err, "tokenizer", own->tokenizer_hash,
                                   w->tokenizer_hash);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].own != rows[i].found)
            return object_differs(err, rows[i].what, rows[i].own, rows[i].found);
    if (memcmp(w->tenant, own->tenant, sizeof w->tenant) != 0)
        return err_set(err, ERR_CONFLICT, "state object: it belongs to another tenant");
    return 0;
}

int object_parse(struct object_head *h, const void *bytes, const struct object_kind *k,
                 const char *tenant, struct err *err)
{
    struct wire w, own;
    memcpy(&w, bytes, sizeof w);
    *h = (struct object_head){0};
    int rc = check_counts(&w, k, err);
    if (rc)
        return rc;
    struct object_head expected;
    object_head(&expected, k, tenant, (int)w.depth, (int)w.n_tokens, (int)w.n_ends);
    expected.layout = (int)w.layout;
    own = wire_of(&expected, k);
    rc = check_kind(&w, &own, err);
    if (rc)
        return rc;
    *h = expected;
    h->head_hash = w.head_hash;
    h->body_hash = w.body_hash;
    return 0;
}

struct history object_history(const struct object_head *h, void *memory)
{
    int32_t *ids = (void *)((char *)memory + OBJECT_HEAD_BYTES);
    return (struct history){.ids = ids,
                            .ends = (void *)(ids + h->n_tokens),
                            .n_ids = (size_t)h->n_tokens,
                            .n_ends = (size_t)h->n_ends};
}

static int check_ids(const struct history *said, const struct object_kind *k,
                     struct err *err)
{
    for (size_t i = 0; i < said->n_ids; i++)
        if (said->ids[i] < 0 || said->ids[i] >= k->vocab_size)
            return err_set(err, ERR_CONFLICT,
                           "state object: tokens[%zu]: expected 0 to %d, found %" PRId32,
                           i, k->vocab_size - 1, said->ids[i]);
    return 0;
}

/* Each is behind the one before and within the tokens. */
static int check_ends(const struct history *said, struct err *err)
{
    int32_t before = 0;
    for (size_t i = 0; i < said->n_ends; i++) {
        const struct answer_end *e = &said->ends[i];
        bool cut = e->shown > 0; /* then there is such a token */
        if (e->at <= before || (size_t)e->at > said->n_ids || e->from < before ||
            e->from > e->at - cut || e->shown < 0 || e->stop < 0)
            return err_set(err, ERR_CONFLICT,
                           "state object: ends[%zu]: expected one behind %" PRId32
                           ", found %" PRId32 " from %" PRId32,
                           i, before, e->at, e->from);
        before = e->at;
    }
    return 0;
}

int object_check_tokens(const struct object_head *h, void *memory,
                        const struct object_kind *k, struct err *err)
{
    struct wire *w = memory;
    w->head_hash = 0;
    uint64_t hash = hash_bytes(memory, h->body_at);
    w->head_hash = h->head_hash;
    if (hash != h->head_hash)
        return object_differs_hash(err, "checksum of the head", h->head_hash, hash);
    struct history said = object_history(h, memory);
    int rc = check_ids(&said, k, err);
    return rc ? rc : check_ends(&said, err);
}

/* ---- pieces ----------------------------------------------------------------- */

int object_check_begin(struct object_check *c, const struct object_kind *k,
                       const char *tenant, struct err *err)
{
    *c = (struct object_check){.kind = k, .tenant = tenant};
    return hash_begin(&c->hash)
               ? 0
               : err_set(err, ERR_MEMORY, "out of memory for a checksum");
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for a state object's head");
}

/* Adds to head and tokens; the head is parsed when it is whole, all is checked when the
 * tokens are. */
static int put_first(struct object_check *c, const void *data, size_t len, size_t *taken,
                     struct err *err)
{
    uint64_t until = c->head.bytes ? c->head.body_at : OBJECT_HEAD_BYTES;
    size_t more = (size_t)until - c->first.len;
    *taken = more < len ? more : len;
    buf_put(&c->first, data, *taken);
    if (c->first.failed)
        return no_memory(err);
    if (c->first.len < until)
        return 0;
    if (c->head.bytes)
        return object_check_tokens(&c->head, c->first.data, c->kind, err);
    int rc = object_parse(&c->head, c->first.data, c->kind, c->tenant, err);
    if (rc)
        return rc;
    return buf_reserve(&c->first, (size_t)c->head.body_at - c->first.len)
               ? 0
               : no_memory(err);
}

int object_check_put(struct object_check *c, const void *data, size_t len,
                     struct err *err)
{
    const char *at = data;
    while (len > 0 && (!c->head.bytes || c->n_seen < c->head.body_at)) {
        size_t taken;
        int rc = put_first(c, at, len, &taken, err);
        if (rc)
            return rc;
        at += taken;
        len -= taken;
        c->n_seen += taken;
    }
    if (len == 0)
        return 0;
    c->n_seen += len;
    if (c->n_seen > c->head.bytes)
        return object_differs(err, "bytes", c->head.bytes, c->n_seen);
    hash_put(&c->hash, at, len);
    return 0;
}

int object_check_end(struct object_check *c, struct err *err)
{
    uint64_t expected = c->head.bytes ? c->head.bytes : OBJECT_HEAD_BYTES;
    if (!c->head.bytes || c->n_seen != expected)
        return object_differs(err, "bytes", expected, c->n_seen);
    uint64_t hash = hash_value(&c->hash);
    if (hash != c->head.body_hash)
        return object_differs_hash(err, "checksum of the body", c->head.body_hash, hash);
    return 0;
}

void object_check_free(struct object_check *c)
{
    buf_free(&c->first);
    hash_free(&c->hash);
    *c = (struct object_check){0};
}
