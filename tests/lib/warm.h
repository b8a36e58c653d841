/*
 * Two engines with the same small model: one that stores prefixes, and one that does not
 * and says what every request must be told. Also the ids that tests ask for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_WARM_H
#define TESTS_LIB_WARM_H

#include "tests/lib/drive.h"

enum {
    WARM_MODELS = 8,
    WARM_WIDE = WARM_MODELS, /* from here on the wide ones */
    WARM_ALL = WARM_WIDE + 4,
    WARM_VOCAB = 97,
    WARM_CONTEXT = 1400,
    WARM_LLAMA = 1
};

/* TransXSSM, Llama, PHA of both kinds, a model of each kind of state that these do not have
 * (family_maker.h), and SSD alone, which has no pages. Behind them the first four again, so wide that q4 holds most of their matrices; made when first asked
 * for. */
extern const char *const warm_names[WARM_ALL];

int warm_make(void **state); /* group setup and teardown of a test program */
int warm_remove(void **state);

struct warm {
    const char *name;
    struct drive cold, hot;
    uint64_t last_id;
};

/* Options of a model with a cache; change them before warm_open. */
struct engine_options warm_options(int model);
void warm_open(struct warm *w, int model, const struct engine_options *o);
void warm_close(struct warm *w); /* expects that nothing runs */

/* Slots and pages for an engine that holds so many of each: memory_bytes of options with
 * max_seqs slots. */
size_t warm_bytes(const struct engine_options *o, int max_seqs, int n_pages);

struct engine_request warm_request(const int32_t *ids, size_t n, int max_tokens);

/* What the engine without a cache tells the request; ends with free. */
char *warm_expected(struct warm *w, const struct engine_request *r, int choice,
                    size_t *len);

/* Submits to the engine with a cache under a new id, which is answered. */
uint64_t warm_submit(struct warm *w, const struct engine_request *r);

/* Fails unless all choices of the finished request were told what is expected. */
void warm_expect(struct warm *w, uint64_t id, const struct engine_request *r,
                 const char *what);

/* Fails unless the engine without a cache, asked for the log-probabilities of prompt and
 * answer as one prompt, gives each token of a finished choice what it was told with. */
void warm_score(struct warm *w, uint64_t id, const struct engine_request *r, int choice);

/* Submits, runs to the end, compares; answers the tokens that were not read again. */
int warm_ask(struct warm *w, const struct engine_request *r);

struct engine_stats warm_load(const struct warm *w);

/* Pseudo-random numbers below n, and n ids; the same after the same seed. */
void warm_seed(uint64_t seed);
int warm_below(int n);
void warm_draw(int32_t *ids, int n);

/* n ids that depend on the seed alone. */
void warm_fill(int32_t *ids, size_t n, unsigned seed);

#endif
