/*
 * Driving an engine from a test: submits, steps, and a copy of every event. A transcript
 * is what one choice of one request was told, as bytes: ids, bits of the
 * log-probabilities, text and end, without times; equal transcripts mean equal bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_DRIVE_H
#define TESTS_LIB_DRIVE_H

#include "engine/engine.h"
#include "engine/objects.h"

struct note { /* one event; ev.text is owned */
    struct event ev;
};

struct drive {
    struct engine *e;   /* owns */
    struct note *notes; /* owns */
    size_t n, cap;
    uint64_t now_ns;
    int last_rows;
};

/* The engine_emit_fn; arg is a struct drive. Allocates with malloc: a step may not use
 * mem. */
void drive_emit(void *arg, const struct event *ev);

/* Opens; the emit of the options is set here. Fails the test. */
void drive_open(struct drive *d, const struct engine_options *o);
void drive_close(struct drive *d);

struct gen_params drive_greedy(int max_tokens);
void drive_submit(struct drive *d, uint64_t id, const int32_t *ids, size_t n,
                  const struct gen_params *g);

int drive_step(struct drive *d); /* rows */
void drive_run(struct drive *d); /* until nothing runs */
void drive_clear(struct drive *d);

/* Ends with free. */
char *drive_transcript(const struct drive *d, uint64_t id, int choice, size_t *len);

/* Ids of the tokens of a choice into out; returns how many. */
size_t drive_tokens(const struct drive *d, uint64_t id, int choice, int32_t *out,
                    size_t cap);

/* Its concatenated text, in a static buffer. */
const char *drive_text(const struct drive *d, uint64_t id, int choice);

/* The finish event of a choice; NULL when there is none. */
const struct event *drive_finish(const struct drive *d, uint64_t id, int choice);

/* The state that the last such event leased; NULL: none. */
struct engine_lease *drive_state(const struct drive *d, uint64_t id,
                                 enum event_kind kind);

/* Events of a kind of a request (all choices). */
size_t drive_count(const struct drive *d, uint64_t id, enum event_kind kind);

#endif
