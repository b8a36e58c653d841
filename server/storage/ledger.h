/*
 * The ledger: the bytes and the number of clients' objects and of persisted prefixes under
 * state.dir, for each tenant and in all. What is being written counts from its reservation
 * on. No save walks the directory for its quota.
 *
 * A reservation for a client's object evicts the least recently used persisted prefixes: the
 * tenant's own where its quota is exceeded, any tenant's where the total is. A reservation
 * for a prefix evicts older prefixes and never an object. After either the sum is within
 * both quotas, unless a quota was lowered: then nothing is added. Changes by other daemons
 * are counted when the directory is walked (object_scan.h): in a tenant's own objects at
 * the next save, elsewhere within a minute.
 *
 * Any thread. Two mutexes, always taken in this order: `files` around a rename, a removal
 * or the walk of a tenant's directory, so that ledger and directory change together
 * (workers only: it waits for the disk); `lock` around every function that says so, in
 * memory alone, short enough for the loop thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_STORAGE_LEDGER_H
#define SERVER_STORAGE_LEDGER_H

#include "engine/base/err.h"
#include "engine/base/heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEDGER_TENANT_OBJECTS = 10000 /* of a client: a list opens and names each */ };

struct ledger; /* opaque */

struct ledger_limits {
    uint64_t tenant_bytes, total_bytes; /* 0: no limit */
};

struct ledger_use {
    uint64_t bytes;
    size_t n;
};

struct ledger_sums { /* of all tenants */
    struct ledger_use clients, persisted;
};

struct ledger_account {   /* of a tenant; it stays where it is until ledger_close */
    char *name;           /* owns: of the tenant's directories, behind their prefix */
    uint64_t limit_bytes; /* 0: ledger_limits.tenant_bytes */
    struct ledger_use clients, persisted;  /* with what is being written */
    struct ledger_use writing;             /* of the clients' */
    struct heap order;                     /* of its persisted prefixes */
    uint64_t clients_walk, persisted_walk; /* the last ones that found a directory */
    int64_t
        changed_ns; /* of the clients' directory when both agreed last: object_scan.h */
};

struct ledger_entry { /* a persisted prefix, within its owner's struct */
    struct heap_node of_account, of_all;
    bool writing;                   /* there is no file of its name yet */
    struct ledger_account *account; /* NULL: it was evicted or left */
    struct ledger_entry *next;      /* of those that a reservation evicted */
    uint64_t bytes, used;           /* used: the greater, the later */
};

/* Borrows the limits, which do not change while more than one thread is at it. ERR_MEMORY.
 */
int ledger_open(struct ledger **out, const struct ledger_limits *limits, struct err *err);
void ledger_close(struct ledger *l); /* accepts NULL; entries are their owners' */

void ledger_lock_files(struct ledger *l);
void ledger_unlock_files(struct ledger *l);
void ledger_lock(struct ledger *l);
void ledger_unlock(struct ledger *l);

/* ---- under `lock` ----------------------------------------------------------- */

/* The tenant's account, made if need be; NULL: out of memory. Each of them: NULL behind
 * the last. */
struct ledger_account *ledger_account(struct ledger *l, const char *name);
struct ledger_account *ledger_account_at(const struct ledger *l, size_t i);

/* Begins a walk and returns its number, from 1 on; 0: the last one began less than gap_ns
 * ago. Takes `lock` itself. ledger_walked notes that the walk has read the account's
 * directory of that kind. */
uint64_t ledger_begin_walk(struct ledger *l, uint64_t now_ns, uint64_t gap_ns);
void ledger_walked(struct ledger_account *a, bool persisted, uint64_t number);

struct ledger_sums ledger_sums(const struct ledger *l);

/* Reserves room for a client's object that replaces one of `replaced` bytes (n 0: none).
 * *evicted: the entries that were evicted; the caller removes their files. ERR_QUOTA, and
 * nothing has changed. */
int ledger_reserve(struct ledger *l, struct ledger_account *a, uint64_t bytes,
                   struct ledger_use replaced, struct ledger_entry **evicted,
                   struct err *err);

/* Ends a reservation: the object has its name now, and what it replaced is gone; or it was
 * given up. */
void ledger_settle(struct ledger *l, struct ledger_account *a, uint64_t bytes,
                   struct ledger_use replaced);
void ledger_release(struct ledger *l, struct ledger_account *a, uint64_t bytes);

/* An object was removed. A walk found `found` besides what this process is writing. */
void ledger_removed(struct ledger *l, struct ledger_account *a, uint64_t bytes);
void ledger_found(struct ledger *l, struct ledger_account *a, struct ledger_use found);

/* Enters a prefix of entry->bytes that will be written, as the most recently used one.
 * *evicted as above. ERR_QUOTA, ERR_MEMORY, and nothing has changed. */
int ledger_reserve_entry(struct ledger *l, struct ledger_account *a,
                         struct ledger_entry *entry, struct ledger_entry **evicted,
                         struct err *err);

/* Enters a prefix that has its file, last used at entry->used. False: out of memory. */
bool ledger_enter(struct ledger *l, struct ledger_account *a, struct ledger_entry *entry);
void ledger_leave(struct ledger *l, struct ledger_entry *entry); /* accepts one evicted */
void ledger_touch(struct ledger *l, struct ledger_entry *entry); /* it was used now */

#endif
