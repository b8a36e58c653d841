/*
 * A sequence: one choice of a request, and what it carries through the engine. Its memory
 * is the request's. Slots and pages belong to the pools; they are reserved when the
 * request is admitted and given back by seq_release, in whatever state the sequence ends.
 * Engine thread only.
 */
#ifndef ENGINE_RUN_SEQ_H
#define ENGINE_RUN_SEQ_H

#include "engine/base/history.h"
#include "engine/run/draft.h"
#include "engine/run/sample.h"
#include "engine/state/pages.h"
#include "engine/state/slots.h"
#include "engine/tokenizer/detok.h"

struct request;

enum seq_state {
    SEQ_WAITING, /* in the queue: holds nothing */
    SEQ_LOAD,    /* its state is being loaded by somebody else */
    SEQ_PREFILL, /* reads its prompt */
    SEQ_FORK,    /* waits for choice 0 to have read the prompt they share */
    SEQ_DECODE,  /* says its answer */
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
    struct answer_end end;  /* at > 0: what clients are not shown of the answer */
    struct sample_out next; /* what the last step sampled */
    int n_rows, row0;       /* this step's share */

    /* speculation: speculate.c */
    struct draft draft;
    char *copy;   /* borrows: the slot as the step found it */
    int n_before; /* n_run likewise */
};

/* Pages for a sequence of n_tokens tokens. */
int seq_pages(int n_tokens);

/* Gives slot, pages and reservation back; accepts a sequence that has none. */
void seq_release(struct seq *s, struct slots *slots, struct pages *pages);

#endif
