/* Beginning with a stored state, leaving states behind. */
#include "engine/run/reuse.h"

#include "engine/run/batch.h"
#include "engine/run/prefix_miss.h"

#include <float.h>
#include <math.h>

enum { WORTH_EVICTING = PAGE_TOKENS }; /* saved tokens */

static const struct prefix_match nothing = {.node = -1, .slot = -1, .last = -1};

float *reuse_row(const struct reuse *u, int32_t slot)
{
    return (float *)(void *)(slots_at(u->slots, slot) + u->row_at);
}

static struct prefix_path path_of(const struct seq *s, int n)
{
    return (struct prefix_path){s->req->key, s->tokens, n};
}

/* ---- where the reading of a prompt stops ------------------------------------ */

static void stop_before(struct request *r, int depth, enum prefix_kind kind)
{
    if (depth <= r->seqs[0].n_run || depth >= r->cut)
        return;
    r->cut = depth;
    r->cut_kind = kind;
}

/* The next depth at which a checkpoint is taken, the prompt's end at the latest. */
static void plan_cut(const struct reuse *u, struct request *r)
{
    r->cut = r->n_prompt;
    r->cut_kind = PREFIX_PROMPT;
    if (!u->prefix || !r->reuse)
        return;
    stop_before(r, r->junction, PREFIX_JUNCTION);
    for (int i = 0; i < r->n_turns; i++)
        stop_before(r, r->turns[i], PREFIX_TURN);
    if (u->interval == 0)
        return;
    int from = r->last_cut + (u->interval + 1) / 2; /* not right behind another one */
    int next = (from + u->interval - 1) / u->interval * u->interval;
    if (r->n_prompt - next >= PAGE_TOKENS) /* nor right before the end */
        stop_before(r, next, PREFIX_INTERVAL);
}

/* ---- beginning -------------------------------------------------------------- */

static bool room(struct reuse *u, int n_slots, int n_pages, int32_t exempt)
{
    if (u->prefix)
        return prefix_room(u->prefix, n_slots, n_pages, exempt);
    return u->slots->n_free >= n_slots &&
           u->pages->n_free - u->pages->n_reserved >= n_pages;
}

static int need_of(const struct reuse *u, const struct request *r, int depth)
{
    return u->pages->page_bytes ? (int)request_pages(r) - depth / PAGE_TOKENS : 0;
}

/* The pages of the stored path, so that nobody evicts them. */
static void share_pages(struct reuse *u, struct seq *q, const struct prefix_match *m)
{
    int n = u->pages->page_bytes ? seq_pages(m->depth) : 0;
    if (n)
        radix_table(&u->prefix->radix, m->node, q->pages);
    for (q->n_pages = 0; q->n_pages < n; q->n_pages++)
        pages_share(u->pages, q->pages[q->n_pages]);
}

static void unshare_pages(struct reuse *u, struct seq *q)
{
    for (; q->n_pages > 0; q->n_pages--)
        pages_drop(u->pages, q->pages[q->n_pages - 1]);
}

/* Rows will be added to the last page: it must be the sequence's own. */
static void own_last_page(struct reuse *u, struct seq *q)
{
    int32_t *last = &q->pages[q->n_pages - 1], shared = *last;
    *last = pages_take(u->pages);
    q->n_reserved--;
    pages_copy(u->pages, *last, shared);
    pages_drop(u->pages, shared);
}

static bool has_part_page(const struct reuse *u, const struct prefix_match *m)
{
    return u->pages->page_bytes && m->depth % PAGE_TOKENS;
}

/* Reservations and slots for all choices; the first one has `need` pages of its own, and
 * its slot if it begins with a state. */
static void provide(struct reuse *u, struct request *r, int need)
{
    bool paged = u->pages->page_bytes != 0;
    int others = seq_pages(r->n_prompt + r->gen.max_tokens) - r->n_prompt / PAGE_TOKENS;
    pages_reserve(u->pages, need);
    for (int i = 0; i < r->gen.n; i++) {
        struct seq *q = &r->seqs[i];
        if (q->slot < 0)
            q->slot = slots_take(u->slots);
        q->state = i ? SEQ_FORK : SEQ_PREFILL;
        q->n_reserved = paged && i ? others : 0;
        need -= q->n_reserved;
    }
    r->seqs[0].n_reserved = need;
}

/* With a copy; the checkpoint stays where it is. */
static bool begin_with_copy(struct reuse *u, struct request *r,
                            const struct prefix_match *m)
{
    struct seq *q = &r->seqs[0];
    int need = need_of(u, r, m->depth);
    share_pages(u, q, m);
    if (!room(u, r->gen.n, need, m->slot)) {
        unshare_pages(u, q);
        return false;
    }
    if (m->slot >= 0)
        q->slot = slots_dup(u->slots, m->slot);
    provide(u, r, need);
    if (has_part_page(u, m))
        own_last_page(u, q);
    q->n_run = m->depth;
    return true;
}

/* With the checkpoint's own slot and last page, where there is no room for copies. */
static bool begin_with_it(struct reuse *u, struct request *r,
                          const struct prefix_match *m)
{
    struct seq *q = &r->seqs[0];
    share_pages(u, q, m);
    bool part = has_part_page(u, m);
    int32_t last = part ? q->pages[q->n_pages - 1] : -1;
    bool ours = part && u->pages->refs[last] == u->pages->held[last] + 1;
    int need = need_of(u, r, m->depth) - ours;
    if (!room(u, r->gen.n - 1, need, m->slot)) {
        unshare_pages(u, q);
        return false;
    }
    prefix_detach(u->prefix, m->slot);
    r->took_over = true;
    if (ours)
        prefix_free_page(u->prefix, last);
    q->slot = m->slot;
    provide(u, r, need);
    if (part && !ours)
        own_last_page(u, q);
    q->n_run = m->depth;
    return true;
}

/* What may be missing is room for a copy of the last page: attention alone can begin
 * before it. */
static bool begin_at_page(struct reuse *u, struct request *r, struct prefix_match *m)
{
    m->depth -= m->depth % PAGE_TOKENS;
    if (m->depth == 0)
        *m = nothing;
    return begin_with_copy(u, r, m);
}

static void note_match(const struct reuse *u, struct request *r,
                       const struct prefix_match *m, int n_cached)
{
    r->n_cached = r->last_cut = n_cached;
    r->n_found = m->depth;
    r->found_bytes = m->depth ? prefix_state_bytes(u->prefix, m->depth) : 0;
    r->junction = 0;
    if (!u->prefix || !r->reuse || u->prefix->any_depth)
        return;
    if (m->known - m->depth >= WORTH_EVICTING || !prefix_full(u->prefix))
        r->junction = m->known;
}

static bool persisted_wanted(const struct request *r, const struct prefix_match *m)
{
    return r->reuse && !r->gen.prompt_logprobs && r->n_persisted > m->depth;
}

bool reuse_begin(struct reuse *u, struct request *r)
{
    struct prefix_match m = nothing;
    struct prefix_path path = path_of(&r->seqs[0], r->n_prompt);
    if (u->prefix && r->reuse)
        prefix_find(u->prefix, &path, &m);
    struct prefix_match used = r->gen.prompt_logprobs ? nothing : m;
    if (r->n_persisted)
        r->n_state = persisted_wanted(r, &used) ? r->n_persisted : 0;
    if (used.depth == 0 || r->n_state)
        used = nothing;
    bool begun = begin_with_copy(u, r, &used);
    if (!begun && used.slot >= 0)
        begun = begin_with_it(u, r, &used);
    else if (!begun && used.depth)
        begun = begin_at_page(u, r, &used);
    if (!begun && used.depth) { /* what is found may stand in its own way */
        used = nothing;
        begun = begin_with_copy(u, r, &used);
    }
    if (!begun)
        return false;
    if (used.depth)
        prefix_hit(u->prefix, &used);
    note_match(u, r, &m, used.depth);
    if (u->prefix && r->reuse && !r->gen.prompt_logprobs && !r->n_state)
        prefix_miss_count(u->prefix, u->vocab, r, &m, u->missed);
    plan_cut(u, r);
    return true;
}

/* ---- leaving states behind -------------------------------------------------- */

bool reuse_is_sound(const struct reuse *u, int32_t slot)
{
    const float *row = reuse_row(u, slot);
    bool finite = true;
    for (int i = 0; i < u->row_floats; i++)
        finite &= fabsf(row[i]) <= FLT_MAX; /* false of NaN */
    return finite;
}

void reuse_loaded(struct reuse *u, struct request *r, int depth)
{
    struct seq *s = &r->seqs[0];
    struct prefix_path path = path_of(s, depth);
    s->n_run = r->n_cached = r->n_found = r->last_cut = depth;
    if (depth && r->reuse && u->prefix && reuse_is_sound(u, s->slot))
        prefix_insert_copy(u->prefix, &path, PREFIX_TURN, s->slot, s->pages);
    plan_cut(u, r);
}

static void keep(struct reuse *u, struct seq *s)
{
    struct request *r = s->req;
    struct prefix_path path = path_of(s, s->n_run);
    bool ends_here = s->n_run == r->n_prompt && r->gen.max_tokens == 0;
    if (!ends_here && reuse_is_sound(u, s->slot))
        prefix_insert_copy(u->prefix, &path, r->cut_kind, s->slot, s->pages);
    r->last_cut = s->n_run;
    plan_cut(u, r);
}

void reuse_keep(struct reuse *u, const struct batch *b)
{
    for (int i = 0; u->prefix && i < b->n_spans; i++) {
        struct seq *s = b->seqs[i];
        if (s->req->reuse && s->state == SEQ_PREFILL && s->n_run == s->req->cut)
            keep(u, s);
    }
}

/* Whether the sequence has come further than what is still stored. */
static bool has_run(const struct seq *s)
{
    const struct request *r = s->req;
    return s->slot >= 0 &&
           (s->state == SEQ_DECODE ||
            (s->state == SEQ_PREFILL && (s->n_run > r->n_cached || r->took_over)));
}

bool reuse_wants(const struct reuse *u, const struct seq *s)
{
    return u->prefix && s->req->reuse && has_run(s) && reuse_is_sound(u, s->slot);
}

void reuse_end(struct reuse *u, struct seq *s, bool spoilt)
{
    const struct request *r = s->req;
    if (!spoilt && reuse_wants(u, s)) {
        struct prefix_path path = path_of(s, s->n_run);
        enum prefix_kind kind = s->n_run > r->n_prompt    ? PREFIX_ANSWER
                                : s->n_run == r->n_prompt ? PREFIX_PROMPT
                                                          : PREFIX_INTERVAL;
        if (prefix_adopt(u->prefix, &path, kind, s->slot, s->pages))
            s->slot = -1;
    }
    seq_release(s, u->slots, u->pages);
    if (u->prefix)
        prefix_trim(u->prefix);
}
