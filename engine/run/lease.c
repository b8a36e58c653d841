/* Granting leases and taking them back. Engine thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/lease.h"

#include "engine/base/mem.h"
#include "engine/run/emit.h"
#include "engine/run/runner.h"

#include <string.h>

/* ---- memory ----------------------------------------------------------------- */

int lease_new(struct engine_lease **out, const struct radix_key *key, int n_tokens,
              size_t n_ends, struct err *err)
{
    size_t table = (size_t)seq_pages(n_tokens), tokens = (size_t)n_tokens;
    struct engine_lease *l = mem_alloc(sizeof *l + (table + tokens) * sizeof(int32_t) +
                                       n_ends * sizeof(struct answer_end) + key->len + 1);
    if (!l)
        return err_set(err, ERR_MEMORY, "out of memory for a state of %d tokens",
                       n_tokens);
    *l = (struct engine_lease){.slot = -1};
    list_init(&l->at);
    l->table = (int32_t *)(void *)(l + 1);
    l->said.ids = l->table + table;
    l->said.ends = (struct answer_end *)(void *)(l->said.ids + tokens);
    l->key = (char *)(l->said.ends + n_ends);
    l->key_len = key->len;
    l->tenant_len = key->tenant_len;
    memcpy(l->key, key->bytes, key->len);
    l->key[key->len] = '\0';
    *out = l;
    return 0;
}

void lease_free(struct engine_lease *l)
{
    mem_free(l);
}

/* ---- out -------------------------------------------------------------------- */

static void hand_out(struct runner *r, struct engine_lease *l, const struct seq *s,
                     int depth)
{
    l->depth = depth;
    l->n_pages = r->pages.page_bytes ? seq_pages(depth) : 0;
    l->constant = slots_at(&r->slots, s->slot);
    l->pool = r->pages.base;
    for (int i = 0; i < l->n_pages; i++) {
        l->table[i] = s->pages[i];
        pages_share(&r->pages, s->pages[i]);
    }
    list_push(&r->leased, &l->at);
}

void lease_grant(struct runner *r, struct request *q)
{
    struct seq *s = &q->seqs[0];
    struct engine_lease *l = q->to_load;
    int need = r->pages.page_bytes ? seq_pages(q->n_state) : 0;
    for (; s->n_pages < need; s->n_reserved--)
        s->pages[s->n_pages++] = pages_take(&r->pages);
    s->state = SEQ_LOAD;
    l->q = q;
    hand_out(r, l, s, q->n_state);
    q->to_load = NULL;
    q->loading = l;
    emit_load(r, q, l);
}

/* All tokens, and the ends with this one, if it is one. */
static void copy_history(struct history *to, const struct seq *s)
{
    const struct request *q = s->req;
    to->n_ids = (size_t)s->n_tokens;
    to->n_ends = q->n_ends;
    memcpy(to->ids, s->tokens, to->n_ids * sizeof *to->ids);
    memcpy(to->ends, q->ends, to->n_ends * sizeof *to->ends);
    if (s->end.at > (q->n_ends ? q->ends[q->n_ends - 1].at : 0))
        to->ends[to->n_ends++] = s->end;
}

struct engine_lease *lease_at_end(struct runner *r, struct seq *s, enum finish_reason why)
{
    struct engine_lease *l = s->req->to_save;
    bool ended = why == FINISH_STOP || why == FINISH_LENGTH;
    if (!l || !ended || s->slot < 0 || s->n_run < 1 || s->n_tokens - s->n_run > 1)
        return NULL;
    s->req->to_save = NULL;
    model_forget(r->model, slots_at(&r->slots, s->slot), s->n_run);
    hand_out(r, l, s, s->n_run);
    copy_history(&l->said, s);
    l->keep = reuse_wants(&r->reuse, s);
    l->checkpoint_bytes = s->req->checkpoint_bytes;
    l->slot = s->slot;
    s->slot = -1;
    return l;
}

/* The tokens and pages of a checkpoint's path. */
static void take_path(struct runner *r, struct engine_lease *l, int32_t node)
{
    radix_path(&r->prefix.radix, node, l->said.ids);
    l->n_pages = r->pages.page_bytes ? seq_pages(l->depth) : 0;
    if (l->n_pages)
        radix_table(&r->prefix.radix, node, l->table);
    for (int i = 0; i < l->n_pages; i++)
        pages_share(&r->pages, l->table[i]);
}

struct engine_lease *lease_persist_next(struct runner *r, bool all)
{
    struct prefix *p = r->reuse.prefix;
    int32_t slot = p ? prefix_persist_next(p, all) : -1;
    struct engine_lease *l;
    if (slot < 0 || !prefix_room(p, 1, 0, slot))
        return NULL;
    struct checkpoint *c = &p->checkpoints[slot];
    struct radix_key key = radix_key_of(&p->radix, c->node);
    if (lease_new(&l, &key, c->depth, 0, NULL))
        return NULL;
    c->persisted = true;
    l->depth = c->depth;
    l->said.n_ids = (size_t)c->depth;
    l->slot = slots_dup(&r->slots, slot);
    l->constant = slots_at(&r->slots, l->slot);
    model_forget(r->model, l->constant, c->depth);
    l->pool = r->pages.base;
    take_path(r, l, c->node);
    list_push(&r->leased, &l->at);
    return l;
}

/* ---- back ------------------------------------------------------------------- */

void lease_detach(struct seq *s)
{
    struct engine_lease *l = s->req->loading;
    if (s->state != SEQ_LOAD || !l)
        return;
    l->slot = s->slot;
    l->q = NULL;
    s->slot = -1;
}

static void begin(struct runner *r, struct request *q, int depth)
{
    q->seqs[0].state = SEQ_PREFILL;
    q->found_bytes = depth ? q->state_bytes : 0;
    q->loading = NULL;
    sched_charge(&r->sched, q, q->n_state - depth); /* what admission left out */
    reuse_loaded(&r->reuse, q, depth);
    emit_start(r, q);
}

/* Nothing of what was read stays: slot and pages are as they were taken. */
static void wipe(struct runner *r, struct engine_lease *l)
{
    memset(l->constant, 0, r->slots.slot_bytes);
    for (int i = 0; i < l->n_pages; i++)
        memset(l->pool + (size_t)l->table[i] * r->pages.page_bytes, 0,
               r->pages.page_bytes);
}

static void give_up(struct runner *r, struct request *q)
{
    for (int i = 0, left = q->n_live; left > 0; i++, left--)
        emit_finish(r, &q->seqs[i], FINISH_ERROR);
}

/* The slot becomes a checkpoint, or is free; the pages are the tree's, if anybody's. */
static void settle(struct runner *r, struct engine_lease *l)
{
    struct prefix_path path = {
        {l->key, l->key_len, l->tenant_len}, l->said.ids, l->depth, l->checkpoint_bytes};
    if (l->keep && r->reuse.prefix &&
        prefix_adopt(r->reuse.prefix, &path, PREFIX_ANSWER, l->slot, l->table))
        l->slot = -1;
    for (int i = 0; i < l->n_pages; i++)
        pages_drop(&r->pages, l->table[i]);
    if (l->slot >= 0)
        slots_drop(&r->slots, l->slot);
    if (r->reuse.prefix)
        prefix_trim(r->reuse.prefix);
}

void lease_release(struct runner *r, struct engine_lease *l, bool good)
{
    struct request *q = l->q;
    list_remove(&l->at);
    if (q && !good && q->n_persisted)
        wipe(r, l);
    if (q && (good || q->n_persisted))
        begin(r, q, good ? l->depth : 0);
    else if (q)
        give_up(r, q); /* lease_detach leaves the slot here */
    settle(r, l);
    lease_free(l);
}

void lease_close(struct runner *r)
{
    struct list *n;
    while (r->leased.next && (n = list_pop(&r->leased))) {
        struct engine_lease *l = LIST_OF(n, struct engine_lease, at);
        l->keep = false;
        settle(r, l);
        lease_free(l);
    }
}
