/*
 * One answer of a chat under test: a request, its writer, and the events that the tests
 * give it. A byte is its own token; two special tokens are the marks of a call (hermes),
 * a third has no bytes. Wrong results fail the running test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_ANSWER_TRIAL_H
#define TESTS_LIB_ANSWER_TRIAL_H

#include "api/chat_response.h"
#include "engine/base/json.h"

enum { ANSWER_TRIAL_CALL = 300, ANSWER_TRIAL_END_CALL = 301, ANSWER_TRIAL_BARE = 302 };

struct answer_trial {
    struct chat_request req;
    struct chat_response *c;
    struct buf out;
};

extern const int32_t answer_trial_prompt[3];

/* Of an answer that begins inside reasoning, or not. */
struct chat_answer_head answer_trial_head(bool inside);

/* A request with these members, each behind a comma, beside its messages; and its answer,
 * which answer_trial_finish frees. */
void answer_trial_parse(struct answer_trial *t, const char *members);
void answer_trial_start(struct answer_trial *t, const char *members);
void answer_trial_start_at(struct answer_trial *t, const char *members, bool inside);
void answer_trial_finish(struct answer_trial *t);

/* Events. */
void answer_trial_bytes(struct answer_trial *t, int choice, int32_t id, const char *text,
                        size_t len);
void answer_trial_token(struct answer_trial *t, int choice, const char *text);
void answer_trial_special(struct answer_trial *t, int32_t id);
void answer_trial_end(struct answer_trial *t, int choice, enum finish_reason reason,
                      int n_generated);

/* Takes the next event off a stream; NULL: it was [DONE]. */
struct json *answer_trial_take(struct answer_trial *t);

#endif
