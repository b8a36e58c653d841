/*
 * A request and its sequences (one a choice): what each carries through the engine.
 *
 * Built by request_new at submit with all memory it will ever need in one arena, freed
 * whole when its last choice has finished: no step allocates. Slots and pages belong to
 * the pools and are given back by seq_release. Engine thread only.
 */
#ifndef ENGINE_RUN_SEQ_H
#define ENGINE_RUN_SEQ_H

#include "engine/base/arena.h"
#include "engine/base/list.h"
#include "engine/engine.h"
#include "engine/run/sample.h"
#include "engine/state/pages.h"
#include "engine/state/slots.h"
#include "engine/text/detok.h"

enum seq_state {
    SEQ_WAITING, /* in the queue: holds nothing */
    SEQ_PREFILL, /* reads its prompt */
    SEQ_FORK,    /* waits for choice 0 to have read the prompt they share */
    SEQ_DECODE,  /* one row a step */
    SEQ_DONE     /* holds nothing any more */
};

struct seq {
    struct request *req; /* borrows: the owner */
    enum seq_state state;
    int choice;          /* within the request */
    int32_t *tokens;     /* [n_prompt + max_tokens] prompt and answer */
    int n_tokens, n_run; /* known tokens; tokens that the state holds */
    int32_t slot;        /* -1: none */
    int32_t *pages;      /* page table */
    int n_pages, n_reserved;
    struct detok detok;
    struct sample_out *records; /* [n_records] ring of log-probabilities, or NULL */
    uint32_t n_records, next_record;
    struct sample_out next; /* what the last step sampled */
    int n_rows, row0;       /* this step's share */
};

struct request {
    struct list link;   /* in the scheduler's waiting or running list */
    struct arena arena; /* owns everything below and this struct's arrays */
    uint64_t id;
    struct gen_params gen; /* pointers into the arena */
    int n_prompt;
    int32_t *end_ids; /* end tokens (unless ignore_eos) and stop ids */
    int n_end_ids;
    struct seq *seqs; /* [gen.n] */
    int n_live;       /* choices that have not finished */
    bool admitted, paused;
    uint64_t submit_ns, admit_ns, prefill_ns, first_ns;
};

/* What a request needs to be built. */
struct seq_world {
    const struct vocab *vocab; /* NULL: events carry no text */
    const int32_t *eos_ids;
    int n_eos;
};

/* Copies the request. ERR_MEMORY, or the stop strings' errors; nothing is kept then. */
int request_new(struct request **out, const struct engine_request *r,
                const struct seq_world *w, struct err *err);
void request_free(struct request *r); /* holds no slot or page any more */

/* Pages for a sequence of n_tokens tokens. */
int seq_pages(int n_tokens);

/* Worst case of the request: choices share the prompt's full pages. */
int64_t request_pages(const struct request *r);

/* Gives slot, pages and reservation back; accepts a sequence that has none. */
void seq_release(struct seq *s, struct slots *slots, struct pages *pages);

#endif
