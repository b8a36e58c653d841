/* Memory of requests, and the pages that they need.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/request.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/run/lease.h"

#include <string.h>

static void *copy_array(struct arena *a, const void *src, size_t n, size_t size)
{
    void *p = arena_alloc(a, n * size + 1);
    if (p && n)
        memcpy(p, src, n * size);
    return p;
}

static int copy_params(struct request *r, const struct engine_request *from,
                       const struct seq_vocab *w, struct err *err)
{
    struct gen_params *g = &r->gen;
    size_t n_eos = from->gen.ignore_eos ? 0 : (size_t)w->n_eos;
    *g = from->gen;
    g->bias = copy_array(&r->arena, g->bias, g->n_bias, sizeof *g->bias);
    r->end_ids = arena_alloc(&r->arena, (n_eos + g->n_stop_ids + 1) * sizeof *r->end_ids);
    if (!g->bias || !r->end_ids)
        return err_set(err, ERR_MEMORY, "out of memory for a request");
    if (n_eos)
        memcpy(r->end_ids, w->eos_ids, n_eos * sizeof *r->end_ids);
    if (g->n_stop_ids)
        memcpy(r->end_ids + n_eos, g->stop_ids, g->n_stop_ids * sizeof *r->end_ids);
    r->n_end_ids = (int)(n_eos + g->n_stop_ids);
    g->stop_ids = NULL;
    return 0;
}

static int copy_prefix(struct request *r, const struct engine_request *from,
                       struct err *err)
{
    const char *tenant = from->tenant ? from->tenant : "",
               *salt = from->cache_salt ? from->cache_salt : "";
    size_t n = strlen(tenant) + 1, n_salt = strlen(salt);
    char *key = arena_alloc(&r->arena, n + n_salt);
    r->turns = copy_array(&r->arena, from->turns, from->n_turns, sizeof *r->turns);
    if (!key || !r->turns)
        return err_set(err, ERR_MEMORY, "out of memory for a request");
    memcpy(key, tenant, n);
    memcpy(key + n, salt, n_salt);
    r->key = (struct radix_key){key, n + n_salt, n};
    r->asker = (struct asker){.tenant = hash_bytes(tenant, n),
                              .client = from->client,
                              .connection = from->connection,
                              .share = from->share > 0 ? from->share : 1};
    r->checkpoint_bytes = from->checkpoint_bytes;
    r->n_turns = (int)from->n_turns;
    r->reuse = !from->no_cache && !from->synthetic_tokens && !from->state_tokens;
    r->cut = r->n_prompt;
    return 0;
}

/* After copy_prefix. */
static int make_loans(struct request *r, const struct engine_request *from,
                      struct err *err)
{
    int rc = 0;
    r->n_state = from->state_tokens;
    r->n_persisted = from->persisted_tokens;
    r->state_bytes = r->n_persisted ? from->persisted_bytes : from->state_bytes;
    r->n_ends = from->n_ends;
    r->ends = copy_array(&r->arena, from->ends, r->n_ends, sizeof *r->ends);
    if (!r->ends)
        return err_set(err, ERR_MEMORY, "out of memory for a request");
    if (r->n_state || r->n_persisted)
        rc = lease_new(&r->to_load, &r->key, r->n_prompt, 0, err);
    if (rc == 0 && from->save_state)
        rc = lease_new(&r->to_save, &r->key, r->n_prompt + r->gen.max_tokens,
                       r->n_ends + 1, err);
    return rc;
}

static int init_seq(struct request *r, struct seq *s, const struct engine_request *from,
                    const struct seq_vocab *w, struct err *err)
{
    int most = r->n_prompt + r->gen.max_tokens;
    *s = (struct seq){.req = r, .choice = (int)(s - r->seqs), .slot = -1};
    s->tokens = arena_alloc(&r->arena, (size_t)most * sizeof *s->tokens);
    s->pages = arena_alloc(&r->arena, (size_t)seq_pages(most) * sizeof *s->pages);
    if (!s->tokens || !s->pages)
        return err_set(err, ERR_MEMORY, "out of memory for a sequence of %d tokens",
                       most);
    memset(s->tokens, 0, (size_t)r->n_synthetic * sizeof *s->tokens);
    memcpy(s->tokens + r->n_synthetic, from->ids, from->n_ids * sizeof *s->tokens);
    s->n_tokens = r->n_prompt;
    if (w->vocab) {
        struct detok_stops stops = {from->gen.stops, from->gen.stop_lens,
                                    from->gen.n_stops, from->gen.keep_stop};
        int rc = detok_init(&s->detok, w->vocab, &stops, err);
        if (rc)
            return rc;
        if (from->resume)
            detok_resume(&s->detok, s->tokens, (size_t)s->n_tokens);
        s->n_records = (uint32_t)detok_max_pending(&s->detok) + 1;
    } else
        s->n_records = 1;
    if (r->gen.logprobs < 0)
        return 0;
    s->records = arena_alloc(&r->arena, s->n_records * sizeof *s->records);
    return s->records ? 0
                      : err_set(err, ERR_MEMORY, "out of memory for log-probabilities");
}

int request_new(struct request **out, const struct engine_request *from,
                const struct seq_vocab *w, struct err *err)
{
    struct request *r = mem_zalloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_MEMORY, "out of memory for a request");
    arena_init(&r->arena);
    list_init(&r->link);
    list_init(&r->turn);
    r->id = from->id;
    r->n_synthetic = from->synthetic_tokens;
    r->n_prompt = r->n_synthetic + (int)from->n_ids;
    int rc = copy_params(r, from, w, err);
    if (rc == 0)
        rc = copy_prefix(r, from, err);
    if (rc == 0)
        rc = make_loans(r, from, err);
    if (rc == 0) {
        r->seqs = arena_zalloc(&r->arena, (size_t)r->gen.n, sizeof *r->seqs);
        if (!r->seqs)
            rc = err_set(err, ERR_MEMORY, "out of memory for %d choices", r->gen.n);
    }
    for (int i = 0; rc == 0 && i < r->gen.n; i++)
        rc = init_seq(r, &r->seqs[i], from, w, err);
    r->n_live = r->gen.n;
    if (rc)
        request_free(r);
    else
        *out = r;
    return rc;
}

void request_free(struct request *r)
{
    for (int i = 0; r->seqs && i < r->gen.n; i++)
        detok_free(&r->seqs[i].detok);
    lease_free(r->to_load);
    lease_free(r->to_save);
    arena_free(&r->arena);
    mem_free(r);
}

int64_t request_pages(const struct request *r)
{
    int64_t each = seq_pages(r->n_prompt + r->gen.max_tokens),
            shared = r->n_prompt / PAGE_TOKENS;
    return each + (r->gen.n - 1) * (each - shared);
}
