/*
 * Guests: clients of an engine with a small model that is driven by hand with invented
 * times. What a guest was served is counted from events, as tokens of prompts that were
 * admitted, and generated tokens. Used by tests only, on their one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_GUESTS_H
#define TESTS_LIB_GUESTS_H

#include "tests/lib/drive.h"

enum {
    GUESTS_CONTEXT = 256,
    GUESTS_PAGE = 16,
    GUESTS_SEQS = 4,
    GUESTS_ROWS = 64,
    GUESTS_MAX = 16
};
static const uint64_t GUESTS_SECOND = 1000000000u;

extern int32_t guests_ids[GUESTS_CONTEXT]; /* of every prompt */

int guests_make(void **state); /* group setup and teardown of a test program */
int guests_remove(void **state);
struct engine_options guests_options(void);

/* A client, and what each request of it is like. */
struct guest {
    const char *tenant;
    uint64_t client, connection;
    int share, n_prompt, max_tokens, n, priority;
};

void guest_ask(struct drive *d, uint64_t id, const struct guest *a);
bool guest_started(const struct drive *d, uint64_t id);
bool guest_ended(const struct drive *d, uint64_t id);
void guests_step_at(struct drive *d, uint64_t now_ns);

/* Expects that requests started in this order, and no other has. */
void guests_expect_order(const struct drive *d, const uint64_t *order, size_t n);

/* Guests that ask again and again. A request's id is serial * GUESTS_MAX + guest. */
struct serving {
    struct drive d;
    const struct guest *guests; /* [n_guests] */
    size_t n_guests, read;
    uint64_t next, now_ns;
    double served[GUESTS_MAX];
    int live[GUESTS_MAX];
};

void serving_open(struct serving *s, const struct guest *guests, size_t n,
                  const struct engine_options *o);
void serving_ask(struct serving *s, size_t who);
void serving_step(struct serving *s); /* a hundredth of a second */

/* Steps while each guest keeps so many requests in the engine. */
void serving_closed_loop(struct serving *s, const int *depths, int n_steps);

/* Jain's index of what each was served per share. */
double serving_fairness(const struct serving *s);

#endif
