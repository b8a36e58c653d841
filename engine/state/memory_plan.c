/* Sizing the pools. Reads /proc/meminfo, at open only; counts what no machine holds
 * without overflow.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/state/memory_plan.h"

#include "engine/base/cgroup.h"
#include "engine/kernel/kernel.h"
#include "engine/state/prefix.h"

#include <stdint.h>
#include <stdio.h>

static size_t meminfo_available(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[256];
    unsigned long long kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return (size_t)kb * 1024;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t memory_plan_available(void)
{
    return smaller(meminfo_available(), cgroup_memory(CGROUP_MEMBERSHIP, CGROUP_MOUNT));
}

/* Half of what a size can be at most, so that two such numbers can be added. */
static size_t product(size_t a, size_t b)
{
    size_t x;
    return __builtin_mul_overflow(a, b, &x) ? SIZE_MAX / 2 : smaller(x, SIZE_MAX / 2);
}

static size_t mib(size_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

/* ---- the plan --------------------------------------------------------------- */

enum {
    CHECKPOINT_PAGES = 8, /* a checkpoint's own, behind the one above it */
    SLOTS_SHARE = 16,     /* of the checkpoints' bytes at least this part are slots */
    MOST_CHECKPOINTS = 1 << 14,
    MOST_SMALL = 1 << 12, /* the engine looks through all for one to persist */
    MOST_PAGES = INT32_MAX
};

/* What a plan is made of: bytes of a slot and a page with the tables that belong to each. */
struct costs {
    size_t slot, page;
    size_t seqs; /* all sequences' slots, and what does not depend on numbers */
    size_t most; /* pages that sequences can use */
    size_t least;
};

static size_t sum(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static struct costs costs_of(const struct memory_plan_ask *ask)
{
    struct costs c = {.slot = ask->slot_bytes, .page = ask->page_bytes};
    size_t per_seq = (size_t)(ask->context + PAGE_TOKENS - 1) / PAGE_TOKENS;
    c.most = ask->page_bytes ? smaller((size_t)ask->max_seqs * per_seq, INT32_MAX) : 0;
    if (ask->prefix) {
        bool paged = ask->page_bytes != 0;
        c.slot = sum(c.slot, prefix_slot_bytes(paged));
        c.page += paged ? prefix_page_bytes() : 0;
        c.seqs = prefix_fixed_bytes(ask->context);
    }
    c.seqs = sum(c.seqs, product((size_t)ask->max_seqs, c.slot));
    c.least = sum(sum(c.seqs, c.page), ask->checkpoints);
    return c;
}

/* Without a budget: full contexts, and as many slots again with a quarter of the pages
 * for checkpoints. */
static size_t wanted(const struct memory_plan_ask *ask, const struct costs *c)
{
    size_t pages = product(c->most, c->page);
    size_t share = ask->prefix ? sum(c->seqs, pages / 4) : 0;
    return sum(sum(c->seqs, pages), ask->checkpoints ? ask->checkpoints : share);
}

static int refuse(const struct memory_plan_ask *ask, const struct costs *c, size_t budget,
                  struct err *err)
{
    const char *key = ask->checkpoints ? "checkpoint_bytes" : "memory_bytes";
    return err_param(
        err, ERR_BUDGET, key,
        "memory plan: expected at least %zu MiB (%d slots of %zu KiB, one page of %zu "
        "KiB and %zu MiB of checkpoints), found %zu MiB; lower max_seqs%s or raise "
        "memory_bytes",
        mib(c->least), ask->max_seqs, ask->slot_bytes >> 10, ask->page_bytes >> 10,
        mib(ask->checkpoints), mib(budget), ask->checkpoints ? ", checkpoint_bytes" : "");
}

static int refuse_machine(const struct memory_plan_ask *ask, const struct costs *c,
                          size_t available, struct err *err)
{
    return err_param(
        err, ERR_BUDGET, "memory_bytes",
        "memory plan: expected at least %zu MiB (%zu for slots, one page and checkpoints, "
        "%zu of scratch, %zu for requests), found %zu MiB available on this machine or in "
        "this cgroup; lower max_seqs, request_bytes or max_body_bytes",
        mib(sum(sum(c->least, ask->later), ask->reserved)), mib(c->least),
        mib(ask->later), mib(ask->reserved), mib(available));
}

/* Out of what they were given, else what is left when every sequence has its pages, but
 * at least a quarter. */
static size_t checkpoint_share(const struct memory_plan_ask *ask, const struct costs *c,
                               size_t budget)
{
    size_t left = budget - c->least, pages = product(c->most, c->page);
    size_t share = left > pages ? left - pages : 0;
    share = share > left / 4 ? share : left / 4;
    return ask->checkpoints ? ask->checkpoints : share;
}

/* Slots for checkpoints. Each comes with pages of its own; where slots are small (of
 * attention alone they are a row) there are more, one for each page at the most: pages
 * must not lie idle because slots ran out. */
static size_t count_checkpoints(const struct memory_plan_ask *ask, const struct costs *c,
                                size_t budget)
{
    if (!ask->prefix)
        return 0;
    size_t share = checkpoint_share(ask, c, budget);
    size_t roomy = share / sum(c->slot, CHECKPOINT_PAGES * c->page);
    size_t small = smaller(share / SLOTS_SHARE / c->slot, share / sum(c->slot, c->page));
    small = smaller(small, MOST_SMALL);
    return roomy > small ? roomy : small;
}

/* The least share for which count_checkpoints says one. */
static size_t least_share(const struct costs *c)
{
    size_t roomy = sum(c->slot, CHECKPOINT_PAGES * c->page);
    size_t small = product(SLOTS_SHARE, c->slot), page = sum(c->slot, c->page);
    return smaller(roomy, small > page ? small : page);
}

/* A checkpoint that is shorter than a page takes its bytes all the same. */
static void note_checkpoints(struct memory_plan *p, const struct memory_plan_ask *ask,
                             const struct costs *c, size_t budget)
{
    size_t slots = (size_t)p->n_slots + (size_t)p->n_checkpoints;
    if (!ask->prefix)
        return;
    size_t fit = ask->checkpoints / sum(ask->slot_bytes, ask->page_bytes);
    p->most_checkpoints = (int)(ask->checkpoints ? smaller(slots, fit) : slots);
    if (p->n_checkpoints)
        return;
    size_t share = least_share(c), pages = product(c->most, c->page);
    size_t left = smaller(product(4, share), sum(pages, share));
    p->checkpoints_short =
        ask->checkpoints
            ? (struct memory_short){"checkpoint_bytes", ask->checkpoints, share}
            : (struct memory_short){"memory_bytes", budget, sum(c->least, left)};
}

int memory_plan_make(struct memory_plan *p, const struct memory_plan_ask *ask,
                     size_t available, struct err *err)
{
    struct costs c = costs_of(ask);
    size_t want = wanted(ask, &c), taken = sum(ask->later, ask->reserved);
    if (available && available < sum(taken, c.least))
        return refuse_machine(ask, &c, available, err);
    if (available)
        available -= taken;
    size_t half = available ? available / 2 : want;
    size_t budget = ask->budget ? ask->budget : smaller(want, half);
    if (available && ask->budget && budget > available)
        return err_param(
            err, ERR_BUDGET, "memory_bytes",
            "memory plan: %zu MiB for slots and pages exceed the %zu MiB that "
            "this machine or cgroup has available beside %zu MiB of weights, tokenizer and "
            "scratch and %zu MiB for requests",
            mib(budget), mib(available), mib(ask->fixed), mib(ask->reserved));
    if (budget < c.least)
        return refuse(ask, &c, budget, err);
    size_t extra = smaller(count_checkpoints(ask, &c, budget), MOST_CHECKPOINTS);
    size_t fits = c.page ? (budget - c.seqs - extra * c.slot) / c.page : 0;
    *p = (struct memory_plan){.n_slots = ask->max_seqs, .n_checkpoints = (int)extra};
    p->n_pages =
        (int)smaller(fits, smaller(c.most + extra * CHECKPOINT_PAGES, MOST_PAGES));
    p->bytes = c.seqs + extra * c.slot + (size_t)p->n_pages * c.page;
    p->index_bytes = p->bytes - (size_t)p->n_pages * ask->page_bytes -
                     ((size_t)p->n_slots + extra) * ask->slot_bytes;
    if (ask->prefix)
        p->n_nodes = prefix_nodes(p->n_slots + (int)extra, p->n_pages, ask->context);
    int per_seq = (ask->context + PAGE_TOKENS - 1) / PAGE_TOKENS;
    bool whole = !ask->page_bytes || p->n_pages >= per_seq;
    p->longest_tokens = whole ? ask->context : p->n_pages * PAGE_TOKENS;
    note_checkpoints(p, ask, &c, budget);
    return 0;
}
