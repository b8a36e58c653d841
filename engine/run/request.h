/*
 * A request: its parameters and its sequences, one for each choice.
 *
 * request_new, at submit, allocates all memory that it will ever need, in one arena and
 * one block for the text of each choice, so that steps allocate nothing; request_free,
 * called by emit.c when its last choice has finished (by runner.c at close), frees it
 * whole. Engine thread only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_REQUEST_H
#define ENGINE_RUN_REQUEST_H

#include "engine/base/arena.h"
#include "engine/base/list.h"
#include "engine/run/seq.h"
#include "engine/state/prefix.h"
#include "engine/types.h"

struct flow;

/* Who asks: flows.h. */
struct asker {
    uint64_t tenant, client, connection;
    int share; /* of the tenant, > 0 */
};

struct request {
    struct list link; /* in the scheduler's waiting or running list */
    struct list turn; /* among the requests of its connection that wait */
    struct asker asker;
    struct flow *flow;   /* borrows: the connection's, until the request ends */
    int64_t least_pages; /* to begin, however much of it is cached */
    uint64_t tried;      /* the last pass of admission that found no room for it */
    struct arena arena;  /* owns everything below and this struct's arrays */
    uint64_t id;
    struct gen_params gen;     /* pointers into the arena */
    int n_prompt, n_synthetic; /* tokens of the prompt; the first of them, with made-up
                                * state */
    int32_t *end_ids;          /* end tokens (unless ignore_eos) and stop ids */
    int n_end_ids;
    struct seq *seqs; /* [gen.n] */
    int n_live;       /* choices that have not finished */

    /* prefix cache: reuse.c */
    bool reuse; /* may start from a checkpoint, and leaves some */
    struct radix_key key;
    size_t checkpoint_bytes; /* limit of the tenant's checkpoints; 0: none */
    int32_t *turns;          /* [n_turns] depths to take a checkpoint at, ascending */
    int n_turns;
    int n_cached;       /* tokens of the prompt that are not computed */
    int n_found;        /* depth of the state that was found */
    size_t found_bytes; /* its size */
    int junction;       /* depth at which the prompt leaves the cached path, or 0 */
    bool took_over;     /* it took the checkpoint that it started from out of the cache */
    int last_cut, cut;  /* prefill runs from one of these depths to the next */
    enum prefix_kind cut_kind;

    /* states that are loaded and saved: lease.c */
    struct answer_end *ends; /* [n_ends] of the conversation that is loaded */
    size_t n_ends;
    int n_state;        /* tokens of the prompt whose state is loaded */
    size_t state_bytes; /* of the object */
    int n_persisted;    /* the same, if the cache has less; admission decides n_state */
    struct engine_lease *to_load, *to_save; /* own: memory for leases to come, or NULL */
    struct engine_lease *loading;           /* borrows: is out now */

    bool admitted, paused;
    uint64_t submit_ns, admit_ns, prefill_ns, first_ns;
};

/* What request_new takes from the model. */
struct seq_vocab {
    const struct vocab *vocab; /* NULL: events carry no text */
    const int32_t *eos_ids;
    int n_eos;
};

/* Copies the request. ERR_MEMORY, or the stop strings' errors; nothing is kept then. */
int request_new(struct request **out, const struct engine_request *r,
                const struct seq_vocab *w, struct err *err);
void request_free(struct request *r); /* holds no slot or page any more */

/* Worst case of the request: choices share the prompt's full pages. */
int64_t request_pages(const struct request *r);

#endif
