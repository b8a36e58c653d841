/*
 * States on lease: a sequence's slot and pages in the hands of another thread, which reads
 * a state object into them or writes one out of them while the engine runs on.
 *
 * A lease's memory comes with its request and outlives it. While a lease is out it holds
 * references to its pages, and its slot is nobody else's; a sequence that ends meanwhile
 * leaves the slot to it. What was leased for writing becomes a checkpoint when it comes
 * back. Engine thread only, but for what lease.c says of its borrowers.
 *
 * A kept state goes out as a copy, so that the tree goes on without it.
 *
 * The subtle point: a state that came from outside is its own request's alone. It never
 * becomes a checkpoint, nor does anything computed from it: a stored prefix must be what
 * this engine would have computed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_LEASE_H
#define ENGINE_RUN_LEASE_H

#include "engine/base/history.h"
#include "engine/base/list.h"
#include "engine/state/radix.h"
#include "engine/types.h"

struct request;
struct runner;
struct seq;

struct engine_lease {
    struct list at;    /* in runner.leased while it is out */
    struct request *q; /* to load: who waits for it; NULL: it ended, or this is to save */
    bool keep;         /* becomes a checkpoint when it comes back, within */
    size_t checkpoint_bytes; /* the request's limit */
    int32_t slot;            /* the lease's own, or -1: the sequence's */
    char *constant;          /* [slot_bytes]: that slot's bytes */
    char *pool;              /* the pages' */
    int32_t *table;          /* [n_pages]; owns a reference to each */
    struct history said;     /* to save; borrows the lease's memory */
    char *key;               /* [key_len] of the request, and a NUL */
    size_t key_len, tenant_len;
    int depth, n_pages;
};

/* Memory for a lease of at most n_tokens tokens and n_ends ends, of a request with this
 * key. ERR_MEMORY. */
int lease_new(struct engine_lease **out, const struct radix_key *key, int n_tokens,
              size_t n_ends, struct err *err);
void lease_free(struct engine_lease *l); /* accepts NULL; not one that is out */

/* The just admitted request waits for its state: leases slot and pages, emits EVENT_LOAD.
 */
void lease_grant(struct runner *r, struct request *q);

/* The state at the end of a sequence that saves it; NULL: it does not. The sequence has
 * no slot any more. */
struct engine_lease *lease_at_end(struct runner *r, struct seq *s,
                                  enum finish_reason why);

/* A sequence ends, maybe while its state is out: then the slot stays with the lease. */
void lease_detach(struct seq *s);

/* A copy of the kept state that engine_persist_next asks for, or NULL. */
struct engine_lease *lease_persist_next(struct runner *r, bool all);

/* The lease is over. To load: the request begins; if it is not good, with nothing if it
 * may, else it ends. */
void lease_release(struct runner *r, struct engine_lease *l, bool good);

/* All that is out is taken back without a word; nobody may use it any more. */
void lease_close(struct runner *r);

#endif
