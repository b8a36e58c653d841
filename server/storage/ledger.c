/* Sums, limits, and the order in which persisted prefixes go.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/storage/ledger.h"

#include "engine/base/map.h"
#include "engine/base/mem.h"

#include <pthread.h>
#include <string.h>

struct ledger {
    pthread_mutex_t files, lock;
    const struct ledger_limits *limits; /* borrows */
    struct ledger_account **accounts;   /* owns both levels; [n] */
    size_t n, cap;
    struct strmap names; /* of accounts */
    struct ledger_sums sums;
    struct heap order; /* of all persisted prefixes */
    uint64_t clock, walks, walked_ns;
};

/* ---- opening ---------------------------------------------------------------- */

static bool used_before(const struct ledger_entry *a, const struct ledger_entry *b)
{
    return a->used != b->used ? a->used < b->used : a < b;
}

static bool before_of_account(const struct heap_node *a, const struct heap_node *b)
{
    return used_before(HEAP_OF(a, const struct ledger_entry, of_account),
                       HEAP_OF(b, const struct ledger_entry, of_account));
}

static bool before_of_all(const struct heap_node *a, const struct heap_node *b)
{
    return used_before(HEAP_OF(a, const struct ledger_entry, of_all),
                       HEAP_OF(b, const struct ledger_entry, of_all));
}

int ledger_open(struct ledger **out, const struct ledger_limits *limits, struct err *err)
{
    struct ledger *l = mem_zalloc(1, sizeof *l);
    if (!l || !strmap_init(&l->names, 16)) {
        mem_free(l);
        return err_set(err, ERR_MEMORY, "out of memory for the ledger of state.dir");
    }
    pthread_mutex_init(&l->files, NULL);
    pthread_mutex_init(&l->lock, NULL);
    l->limits = limits;
    l->order.before = before_of_all;
    *out = l;
    return 0;
}

static void free_account(struct ledger_account *a)
{
    heap_free(&a->order);
    mem_free(a->name);
    mem_free(a);
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        free_account(l->accounts[i]);
    mem_free(l->accounts);
    strmap_free(&l->names);
    heap_free(&l->order);
    pthread_mutex_destroy(&l->files);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

void ledger_lock_files(struct ledger *l)
{
    pthread_mutex_lock(&l->files);
}

void ledger_unlock_files(struct ledger *l)
{
    pthread_mutex_unlock(&l->files);
}

void ledger_lock(struct ledger *l)
{
    pthread_mutex_lock(&l->lock);
}

void ledger_unlock(struct ledger *l)
{
    pthread_mutex_unlock(&l->lock);
}

/* ---- accounts --------------------------------------------------------------- */

static bool reserve_account(struct ledger *l)
{
    if (l->n < l->cap)
        return true;
    size_t cap = l->cap ? 2 * l->cap : 16;
    void *more =
        mem_grow(l->accounts, l->n * sizeof *l->accounts, cap * sizeof *l->accounts);
    if (!more)
        return false;
    l->accounts = more;
    l->cap = cap;
    return true;
}

struct ledger_account *ledger_account(struct ledger *l, const char *name)
{
    size_t len = strlen(name);
    int32_t i = strmap_get(&l->names, name, len, -1);
    if (i >= 0)
        return l->accounts[i];
    struct ledger_account *a = mem_zalloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->order.before = before_of_account;
    a->name = mem_alloc(len + 1);
    if (a->name)
        memcpy(a->name, name, len + 1);
    if (!a->name || !reserve_account(l) ||
        !strmap_put(&l->names, a->name, len, (int32_t)l->n)) {
        free_account(a);
        return NULL;
    }
    return l->accounts[l->n++] = a;
}

struct ledger_account *ledger_account_at(const struct ledger *l, size_t i)
{
    return i < l->n ? l->accounts[i] : NULL;
}

uint64_t ledger_begin_walk(struct ledger *l, uint64_t now_ns, uint64_t gap_ns)
{
    ledger_lock(l);
    bool early = l->walks && now_ns - l->walked_ns < gap_ns;
    if (!early)
        l->walked_ns = now_ns;
    uint64_t number = early ? 0 : ++l->walks;
    ledger_unlock(l);
    return number;
}

void ledger_walked(struct ledger_account *a, bool persisted, uint64_t number)
{
    uint64_t *last = persisted ? &a->persisted_walk : &a->clients_walk;
    *last = number > *last ? number : *last; /* two walks may be under way */
}

/* ---- persisted prefixes ----------------------------------------------------- */

static void add(struct ledger_use *u, uint64_t bytes, size_t n)
{
    u->bytes += bytes;
    u->n += n;
}

static void take(struct ledger_use *u, uint64_t bytes, size_t n)
{
    u->bytes -= bytes < u->bytes ? bytes : u->bytes;
    u->n -= n < u->n ? n : u->n;
}

bool ledger_enter(struct ledger *l, struct ledger_account *a, struct ledger_entry *entry)
{
    if (!heap_reserve(&l->order, l->order.n + 1) ||
        !heap_reserve(&a->order, a->order.n + 1))
        return false;
    entry->account = a;
    entry->of_all = entry->of_account = (struct heap_node){0};
    heap_insert(&l->order, &entry->of_all);
    heap_insert(&a->order, &entry->of_account);
    add(&l->sums.persisted, entry->bytes, 1);
    add(&a->persisted, entry->bytes, 1);
    l->clock = entry->used > l->clock ? entry->used : l->clock;
    return true;
}

void ledger_leave(struct ledger *l, struct ledger_entry *entry)
{
    struct ledger_account *a = entry->account;
    if (!a)
        return;
    heap_remove(&l->order, &entry->of_all);
    heap_remove(&a->order, &entry->of_account);
    take(&l->sums.persisted, entry->bytes, 1);
    take(&a->persisted, entry->bytes, 1);
    entry->account = NULL;
}

void ledger_touch(struct ledger *l, struct ledger_entry *entry)
{
    if (!entry->account)
        return;
    entry->used = ++l->clock;
    heap_update(&l->order, &entry->of_all);
    heap_update(&entry->account->order, &entry->of_account);
}

/* The longest unused of an account, or of all; NULL: there is none. */
static struct ledger_entry *evict_oldest(struct ledger *l, struct ledger_account *a)
{
    const struct heap_node *n = heap_first(a ? &a->order : &l->order);
    if (!n)
        return NULL;
    struct ledger_entry *e = a ? HEAP_OF(n, struct ledger_entry, of_account)
                               : HEAP_OF(n, struct ledger_entry, of_all);
    ledger_leave(l, e);
    return e;
}

/* ---- quotas ----------------------------------------------------------------- */

static bool exceeds(uint64_t used, uint64_t limit)
{
    return limit && used > limit;
}

static uint64_t limit_of(const struct ledger *l, const struct ledger_account *a)
{
    return a->limit_bytes ? a->limit_bytes : l->limits->tenant_bytes;
}

struct ledger_sums ledger_sums(const struct ledger *l)
{
    return l->sums;
}

/* Evicts until what clients have and what is left of the prefixes is within the limits. */
static struct ledger_entry *give_way(struct ledger *l, struct ledger_account *a,
                                     uint64_t own, uint64_t all)
{
    struct ledger_entry *evicted = NULL, *e = NULL;
    for (;; evicted = e) {
        if (exceeds(own + a->persisted.bytes, limit_of(l, a)))
            e = evict_oldest(l, a);
        else if (exceeds(all + l->sums.persisted.bytes, l->limits->total_bytes))
            e = evict_oldest(l, NULL);
        else
            return evicted;
        if (!e)
            return evicted;
        e->next = evicted;
    }
}

static int refuse(uint64_t used, uint64_t limit, const char *whose, struct err *err)
{
    return err_set(err, ERR_QUOTA,
                   "state objects: %s is %llu bytes; with this object they are %llu",
                   whose, (unsigned long long)limit, (unsigned long long)used);
}

int ledger_reserve(struct ledger *l, struct ledger_account *a, uint64_t bytes,
                   struct ledger_use replaced, struct ledger_entry **evicted,
                   struct err *err)
{
    struct ledger_use own = a->clients, all = l->sums.clients;
    add(&own, bytes, 1);
    add(&all, bytes, 1);
    take(&own, replaced.bytes, replaced.n);
    take(&all, replaced.bytes, replaced.n);
    *evicted = NULL;
    if (own.n > LEDGER_TENANT_OBJECTS)
        return err_set(err, ERR_QUOTA, "state objects: a tenant has at most %d",
                       LEDGER_TENANT_OBJECTS);
    if (exceeds(own.bytes, limit_of(l, a)))
        return refuse(own.bytes, limit_of(l, a), "your quota", err);
    if (exceeds(all.bytes, l->limits->total_bytes))
        return refuse(all.bytes, l->limits->total_bytes, "the server's quota", err);
    *evicted = give_way(l, a, own.bytes, all.bytes);
    add(&a->clients, bytes, 1);
    add(&l->sums.clients, bytes, 1);
    add(&a->writing, bytes, 1);
    return 0;
}

void ledger_removed(struct ledger *l, struct ledger_account *a, uint64_t bytes)
{
    take(&a->clients, bytes, 1);
    take(&l->sums.clients, bytes, 1);
}

void ledger_release(struct ledger *l, struct ledger_account *a, uint64_t bytes)
{
    take(&a->writing, bytes, 1);
    ledger_removed(l, a, bytes);
}

void ledger_settle(struct ledger *l, struct ledger_account *a, uint64_t bytes,
                   struct ledger_use replaced)
{
    take(&a->writing, bytes, 1);
    if (replaced.n)
        ledger_removed(l, a, replaced.bytes);
}

void ledger_found(struct ledger *l, struct ledger_account *a, struct ledger_use found)
{
    add(&found, a->writing.bytes, a->writing.n);
    take(&l->sums.clients, a->clients.bytes, a->clients.n);
    add(&l->sums.clients, found.bytes, found.n);
    a->clients = found;
}

int ledger_reserve_entry(struct ledger *l, struct ledger_account *a,
                         struct ledger_entry *entry, struct ledger_entry **evicted,
                         struct err *err)
{
    uint64_t own = a->clients.bytes + entry->bytes,
             all = l->sums.clients.bytes + entry->bytes;
    *evicted = NULL;
    if (exceeds(own, limit_of(l, a)) || exceeds(all, l->limits->total_bytes))
        return err_set(err, ERR_QUOTA,
                       "clients' objects leave no room for a persisted prefix");
    entry->used = l->clock + 1;
    if (!ledger_enter(l, a, entry))
        return err_set(err, ERR_MEMORY, "out of memory for a persisted prefix");
    *evicted = give_way(l, a, a->clients.bytes, l->sums.clients.bytes);
    return 0;
}
