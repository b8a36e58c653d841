/*
 * A sequence: one choice of a request while it runs. The request owns its memory. Its slot
 * and pages are the pools'; admission reserves them and seq_release releases them, in
 * whatever state the sequence ends. Engine thread only.
 *
 * SPDX-License-Identifier: Apache-2.0
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
    SEQ_WAITING, /* in the queue: has no slot */
    SEQ_LOAD,    /* its slot is leased, a state is being loaded into it */
    SEQ_PREFILL, /* its prompt is computed */
    SEQ_FORK,    /* waits for the prefill of choice 0, whose prompt it shares */
    SEQ_DECODE,  /* its answer is generated */
    SEQ_DONE     /* its slot and pages are released */
};

struct seq {
    struct request *req; /* borrows: the owner */
    enum seq_state state;
    int choice;          /* within the request */
    int32_t *tokens;     /* [n_prompt + max_tokens] prompt and answer */
    int n_tokens, n_run; /* tokens; those that the state contains */
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

/* Releases slot, pages and reservation; accepts a sequence that has none. */
void seq_release(struct seq *s, struct slots *slots, struct pages *pages);

#endif
