/* The tree of flows, and the order of turns.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/flows.h"

#include "engine/base/mem.h"

#include <math.h>

#define FLOW(n)    LIST_OF(n, struct flow, at)
#define REQUEST(n) LIST_OF(n, struct request, turn)

static void init_flow(struct flow *f, struct flow *up, uint64_t key)
{
    *f = (struct flow){.up = up, .key = key, .share = 1};
    list_init(&f->at);
    list_init(&f->below);
    list_init(&f->waiting);
    list_init(&f->ready);
}

void flows_init(struct flows *fs)
{
    *fs = (struct flows){0};
    init_flow(&fs->root, NULL, 0);
    list_init(&fs->ready);
}

/* ---- flows without requests --------------------------------------------------- */

static void free_below(struct flows *fs, struct flow *f)
{
    struct list *n;
    while ((n = list_pop(&f->below))) {
        free_below(fs, FLOW(n));
        mem_free(FLOW(n));
        fs->n_idle--;
    }
}

static void free_idle(struct flows *fs, struct flow *f)
{
    free_below(fs, f);
    list_remove(&f->at);
    mem_free(f);
    fs->n_idle--;
}

void flows_close(struct flows *fs)
{
    if (fs->root.below.next)
        free_below(fs, &fs->root);
}

static bool is_done(const struct flows *fs, const struct flow *f)
{
    bool returns = f->refused && fs->n_turns - f->turn <= FLOWS_TURNS;
    return f->n_live == 0 && f->served <= f->up->least && !returns;
}

/* Frees what has no request from a connection upwards, unless it is to be remembered. */
static void retire(struct flows *fs, struct flow *f)
{
    for (struct flow *up; f->up && f->n_live == 0; f = up) {
        up = f->up;
        fs->n_idle++;
        if (is_done(fs, f) || fs->n_idle > FLOWS_IDLE)
            free_idle(fs, f);
    }
}

/* Nobody waits: all begin anew. */
static void forget(struct flows *fs, struct flow *f)
{
    struct list *next;
    f->served = f->least = 0;
    for (struct list *n = f->below.next; n != &f->below; n = next) {
        next = n->next;
        if (FLOW(n)->n_live == 0)
            free_idle(fs, FLOW(n));
        else
            forget(fs, FLOW(n));
    }
}

/* ---- joining ------------------------------------------------------------------ */

/* Also frees those that are met and need not be remembered any more. */
static struct flow *find_below(struct flows *fs, struct flow *up, uint64_t key)
{
    struct list *next;
    struct flow *found = NULL;
    for (struct list *n = up->below.next; n != &up->below; n = next) {
        next = n->next;
        if (FLOW(n)->key == key)
            found = FLOW(n);
        else if (is_done(fs, FLOW(n)))
            free_idle(fs, FLOW(n));
    }
    return found;
}

/* NULL: no memory. What it makes counts as idle. */
static struct flow *get_below(struct flows *fs, struct flow *up, uint64_t key)
{
    struct flow *f = find_below(fs, up, key);
    if (f || !(f = mem_alloc(sizeof *f)))
        return f;
    init_flow(f, up, key);
    list_push(&up->below, &f->at);
    fs->n_idle++;
    return f;
}

static void begin_waiting(struct flows *fs, struct flow *f)
{
    for (; f->up; f = f->up) {
        if (f->n_live++ == 0)
            fs->n_idle--;
        if (f->n_waiting++ > 0)
            continue;
        f->served = fmax(f->served, f->up->least);
        if (!f->refused)
            f->turn = ++fs->n_turns;
    }
    f->n_live++;
    f->n_waiting++;
}

static void queue(struct flows *fs, struct flow *f, struct request *r)
{
    struct list *at = &f->waiting;
    if (list_empty(at))
        list_push(&fs->ready, &f->ready);
    while (at->prev != &f->waiting && REQUEST(at->prev)->gen.priority > r->gen.priority)
        at = at->prev;
    list_push_before(at, &r->turn);
}

int flows_join(struct flows *fs, struct request *r, struct err *err)
{
    const struct asker *who = &r->asker;
    struct flow *tenant = get_below(fs, &fs->root, who->tenant);
    struct flow *client = tenant ? get_below(fs, tenant, who->client) : NULL;
    struct flow *f = client ? get_below(fs, client, who->connection) : NULL;
    if (!f)
        return err_set(err, ERR_MEMORY, "out of memory for a request");
    tenant->share = who->share;
    r->flow = f;
    begin_waiting(fs, f);
    queue(fs, f, r);
    return 0;
}

/* ---- turns -------------------------------------------------------------------- */

struct request *flows_first(const struct flow *f)
{
    return REQUEST(f->waiting.next);
}

static bool is_next(const struct flow *a, const struct flow *b)
{
    return a->served != b->served ? a->served < b->served : a->turn < b->turn;
}

bool flows_before(const struct flow *a, const struct flow *b)
{
    int p = flows_first(a)->gen.priority, q = flows_first(b)->gen.priority;
    if (p != q)
        return p < q;
    while (a->up != b->up) { /* up to siblings */
        a = a->up;
        b = b->up;
    }
    return is_next(a, b);
}

static struct request *last_of(const struct flow *f)
{
    return REQUEST(f->waiting.prev);
}

/* Siblings. */
static bool yields(const struct flow *a, const struct flow *b)
{
    double p = a->n_waiting / a->share, q = b->n_waiting / b->share;
    return p != q ? p > q : is_next(b, a);
}

static bool yields_to(const struct flow *a, const struct flow *b)
{
    int p = last_of(a)->gen.priority, q = last_of(b)->gen.priority;
    if (p != q)
        return p > q;
    while (a->up != b->up) {
        a = a->up;
        b = b->up;
    }
    return yields(a, b);
}

struct request *flows_last(const struct flows *fs)
{
    const struct flow *last = NULL;
    for (const struct list *n = fs->ready.next; n != &fs->ready; n = n->next) {
        const struct flow *f = LIST_OF(n, struct flow, ready);
        if (!last || yields_to(f, last))
            last = f;
    }
    return last ? last_of(last) : NULL;
}

static void end_waiting(struct flows *fs, struct request *r)
{
    struct flow *f = r->flow;
    list_remove(&r->turn);
    if (list_empty(&f->waiting))
        list_remove(&f->ready);
    for (; f; f = f->up)
        f->n_waiting--;
    if (fs->root.n_waiting == 0)
        forget(fs, &fs->root);
}

static double least_waiting(const struct flow *up)
{
    double least = INFINITY;
    for (const struct list *n = up->below.next; n != &up->below; n = n->next)
        if (FLOW(n)->n_waiting)
            least = fmin(least, FLOW(n)->served);
    return least;
}

void flows_admit(struct flows *fs, struct request *r)
{
    for (struct flow *f = r->flow; f->up; f = f->up) {
        f->up->least = fmax(f->up->least, least_waiting(f->up));
        f->turn = ++fs->n_turns;
        f->refused = false;
    }
    end_waiting(fs, r);
}

void flows_refuse(struct request *r)
{
    for (struct flow *f = r->flow; f; f = f->up)
        f->refused = true;
}

void flows_leave(struct flows *fs, struct request *r)
{
    struct flow *f = r->flow;
    if (!r->admitted)
        end_waiting(fs, r);
    for (struct flow *at = f; at; at = at->up)
        at->n_live--;
    r->flow = NULL;
    retire(fs, f);
}

void flows_charge(struct flows *fs, const struct request *r, int n_tokens)
{
    if (fs->root.n_waiting == 0)
        return;
    for (struct flow *f = r->flow; f->up; f = f->up)
        f->served += n_tokens / f->share;
}
