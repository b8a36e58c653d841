/*
 * One answer of a chat under test: a request, its writer, and the events that the tests
 * give it. A byte is its own token; two special tokens are the marks of a call (hermes),
 * a third has no bytes. Wrong results fail the running test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_CHAT_TRIAL_H
#define TESTS_LIB_CHAT_TRIAL_H

#include "api/chat_response.h"
#include "engine/base/json.h"

enum { CHAT_TRIAL_CALL = 300, CHAT_TRIAL_END_CALL = 301, CHAT_TRIAL_BARE = 302 };

struct chat_trial {
    struct chat_request req;
    struct chat_response *c;
    struct buf out;
};

extern const int32_t chat_trial_prompt[3];

/* Of an answer that begins inside reasoning, or not. */
struct chat_response_head chat_trial_head(bool inside);

/* A request with these members, each behind a comma, beside its messages; and its answer,
 * which chat_trial_finish frees. */
void chat_trial_parse(struct chat_trial *t, const char *members);
void chat_trial_start(struct chat_trial *t, const char *members);
void chat_trial_start_at(struct chat_trial *t, const char *members, bool inside);
void chat_trial_finish(struct chat_trial *t);

/* Events. */
void chat_trial_bytes(struct chat_trial *t, int choice, int32_t id, const char *text,
                      size_t len);
void chat_trial_token(struct chat_trial *t, int choice, const char *text);
void chat_trial_special(struct chat_trial *t, int32_t id);
void chat_trial_end(struct chat_trial *t, int choice, enum finish_reason reason,
                    int n_generated);

/* Takes the next event off a stream; NULL: it was [DONE]. */
struct json *chat_trial_take(struct chat_trial *t);

#endif
