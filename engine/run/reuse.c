/* The start of requests from checkpoints, and the checkpoints that they leave.
 * SPDX-License-Identifier: Apache-2.0 */
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
    return (struct prefix_path){s->req->key, s->tokens, n, s->req->checkpoint_bytes};
}

/* ---- depths of checkpoints ---------------------------------------------------- */

int reuse_interval(size_t state_bytes, size_t page_bytes)
{
    enum { LEAST = 256, MOST = 4096 };
    if (state_bytes == 0 && page_bytes)
        return 0;
    size_t n_pages = page_bytes ? (state_bytes + page_bytes - 1) / page_bytes : MOST;
    if (n_pages > MOST / PAGE_TOKENS)
        return MOST;
    int tokens = (int)n_pages * PAGE_TOKENS;
    return tokens > LEAST ? tokens : LEAST;
}

static void stop_before(struct request *r, int depth, enum prefix_kind kind)
{
    if (depth <= r->seqs[0].n_run || depth >= r->cut)
        return;
    r->cut = depth;
    r->cut_kind = kind;
}

/* The prompt's end may be where the request asks for a checkpoint, too. */
static enum prefix_kind end_kind(const struct request *r)
{
    bool asked = r->n_turns > 0 && r->turns[r->n_turns - 1] == r->n_prompt;
    return asked ? PREFIX_TURN : PREFIX_PROMPT;
}

/* The next depth at which a checkpoint is taken, the prompt's end at the latest. */
static void plan_cut(const struct reuse *u, struct request *r)
{
    r->cut = r->n_prompt;
    r->cut_kind = end_kind(r);
    if (!u->prefix || !r->reuse)
        return;
    stop_before(r, r->junction, PREFIX_JUNCTION);
    for (int i = 0; i < r->n_turns; i++)
        stop_before(r, r->turns[i], PREFIX_TURN);
    if (u->interval == 0)
        return;
    int from = r->last_cut + (u->interval + 1) / 2; /* not close behind another one */
    int next = (from + u->interval - 1) / u->interval * u->interval;
    if (r->n_prompt - next >= PAGE_TOKENS) /* nor close before the end */
        stop_before(r, next, PREFIX_INTERVAL);
}

/* ---- plans of how a request starts ------------------------------------------- */

/* In order of preference. */
enum start_kind {
    START_COPY, /* with a copy of the checkpoint, which stays where it is */
    START_TAKE, /* with its own slot and last page, where there is no room for copies */
    START_AT_PAGE, /* attention alone, before a page that there is no room to copy */
    START_EMPTY,   /* with nothing: what was found may itself take the room */
    START_N
};

/* What a start takes. Making one changes nothing. */
struct start {
    struct prefix_match from; /* depth 0: no state */
    bool take;                /* from's slot itself */
    bool copy_page;           /* of from's last page, to which rows will be added */
    int32_t freed_page;       /* which no checkpoint may hold any longer, or -1 */
    int n_slots, n_pages;     /* from the pools */
};

static int pages_behind(const struct reuse *u, const struct request *r, int depth)
{
    return u->pages->page_bytes ? (int)request_pages(r) - depth / PAGE_TOKENS : 0;
}

/* The page that the rows at depth are in; -1: they begin a page. */
static int32_t part_page(const struct reuse *u, const struct prefix_match *m,
                         int32_t *table)
{
    if (!u->pages->page_bytes || m->depth % PAGE_TOKENS == 0)
        return -1;
    radix_table(&u->prefix->radix, m->node, table);
    return table[m->depth / PAGE_TOKENS];
}

/* Whether there is such a start where m may be used. */
static bool is_possible(enum start_kind kind, const struct prefix_match *m)
{
    switch (kind) {
    case START_TAKE:
        return m->slot >= 0;
    case START_AT_PAGE:
        return m->slot < 0 && m->depth > PAGE_TOKENS && m->depth % PAGE_TOKENS;
    case START_EMPTY:
        return m->depth > 0;
    default:
        return true;
    }
}

static struct start plan_start(const struct reuse *u, struct request *r,
                               enum start_kind kind, const struct prefix_match *m)
{
    bool take = kind == START_TAKE;
    struct prefix_match from = kind == START_EMPTY ? nothing : *m;
    if (kind == START_AT_PAGE)
        from.depth -= from.depth % PAGE_TOKENS;
    int32_t last = part_page(u, &from, r->seqs[0].pages);
    bool only = take && last >= 0 && u->pages->refs[last] == u->pages->held[last];
    return (struct start){.from = from,
                          .take = take,
                          .copy_page = last >= 0 && !only,
                          .freed_page = only ? last : -1,
                          .n_slots = r->gen.n - take,
                          .n_pages = pages_behind(u, r, from.depth) - only};
}

/* ---- starting by a plan ------------------------------------------------------ */

/* Evicts checkpoints as needed. False, and nothing is evicted: not enough would be free.
 */
static bool make_room(struct reuse *u, const struct start *p)
{
    if (u->prefix)
        return prefix_room(u->prefix, p->n_slots, p->n_pages, p->from.slot);
    return u->slots->n_free >= p->n_slots &&
           u->pages->n_free - u->pages->n_reserved >= p->n_pages;
}

/* The pages of the stored path, so that they are not evicted. */
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

static void take_state(struct reuse *u, struct request *r, const struct start *p)
{
    int32_t *slot = &r->seqs[0].slot;
    if (p->take) {
        prefix_detach(u->prefix, p->from.slot);
        *slot = p->from.slot;
        r->took_over = true;
    } else if (p->from.slot >= 0) {
        *slot = slots_dup(u->slots, p->from.slot);
    }
    if (p->freed_page >= 0)
        prefix_free_page(u->prefix, p->freed_page);
}

/* Reservations and slots for all choices; the first one has what the others leave, and
 * its slot if it starts with a state. */
static void reserve(struct reuse *u, struct request *r, int n_pages)
{
    bool paged = u->pages->page_bytes != 0;
    int others = seq_pages(r->n_prompt + r->gen.max_tokens) - r->n_prompt / PAGE_TOKENS;
    pages_reserve(u->pages, n_pages);
    for (int i = 0; i < r->gen.n; i++) {
        struct seq *q = &r->seqs[i];
        if (q->slot < 0)
            q->slot = slots_take(u->slots);
        q->state = i ? SEQ_FORK : SEQ_PREFILL;
        q->n_reserved = paged && i ? others : 0;
        n_pages -= q->n_reserved;
    }
    r->seqs[0].n_reserved = n_pages;
}

/* Rows will be added to the last page: it must be the sequence's own. */
static void copy_last_page(struct reuse *u, struct seq *q)
{
    int32_t *last = &q->pages[q->n_pages - 1], shared = *last;
    *last = pages_take(u->pages);
    q->n_reserved--;
    pages_copy(u->pages, *last, shared);
    pages_drop(u->pages, shared);
}

/* False, and nothing has changed: there is no room. */
static bool start(struct reuse *u, struct request *r, const struct start *p)
{
    struct seq *q = &r->seqs[0];
    share_pages(u, q, &p->from);
    if (!make_room(u, p)) {
        unshare_pages(u, q);
        return false;
    }
    take_state(u, r, p);
    reserve(u, r, p->n_pages);
    if (p->copy_page)
        copy_last_page(u, q);
    q->n_run = p->from.depth;
    return true;
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

/* What a request may start with of what was found: nothing if its prompt is read for
 * log-probabilities, or if a state that is loaded is deeper. */
static struct prefix_match usable(struct request *r, const struct prefix_match *found)
{
    bool none = r->gen.prompt_logprobs;
    if (r->n_persisted) {
        bool deeper = r->reuse && !none && r->n_persisted > found->depth;
        r->n_state = deeper ? r->n_persisted : 0;
    }
    return none || r->n_state || found->depth == 0 ? nothing : *found;
}

/* Starts by the first plan that there is room for; *from is what it starts with. */
static bool start_by_plan(struct reuse *u, struct request *r, struct prefix_match *from)
{
    for (int kind = START_COPY; kind < START_N; kind++) {
        if (!is_possible((enum start_kind)kind, from))
            continue;
        struct start p = plan_start(u, r, (enum start_kind)kind, from);
        if (!start(u, r, &p))
            continue;
        *from = p.from;
        return true;
    }
    return false;
}

bool reuse_begin(struct reuse *u, struct request *r)
{
    struct prefix_match found = nothing;
    struct prefix_path path = path_of(&r->seqs[0], r->n_prompt);
    if (u->prefix && r->reuse)
        prefix_find(u->prefix, &path, &found);
    struct prefix_match from = usable(r, &found);
    if (!start_by_plan(u, r, &from))
        return false;
    if (from.depth)
        prefix_hit(u->prefix, &from);
    note_match(u, r, &found, from.depth);
    if (u->prefix && r->reuse && !r->gen.prompt_logprobs && !r->n_state)
        prefix_miss_count(u->prefix, u->vocab, r, &found, u->missed);
    plan_cut(u, r);
    return true;
}

/* ---- taking checkpoints ------------------------------------------------------- */

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

/* Whether the sequence has run rows that no checkpoint holds. */
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
                                : s->n_run == r->n_prompt ? end_kind(r)
                                                          : PREFIX_INTERVAL;
        if (prefix_adopt(u->prefix, &path, kind, s->slot, s->pages))
            s->slot = -1;
    }
    seq_release(s, u->slots, u->pages);
    if (u->prefix)
        prefix_trim(u->prefix);
}
