/*
 * Error code -> HTTP status, JSON error body and the headers it asks for: the single
 * mapping of the program, in the forms that clients read. Pure functions over const
 * tables; any thread.
 *
 * Faults of ours (status 500) never show their text to a client: it may name files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

#include <stdbool.h>

struct problem {
    int status;
    const char *type;    /* error.type */
    const char *code;    /* error.code, NULL = null */
    const char *message; /* shown instead of err->text; NULL = err->text is shown */
    bool retry_after;    /* answer with Retry-After */
    bool close;          /* answer with Connection: close */
    bool challenge;      /* answer with WWW-Authenticate: Bearer */
    bool allow;          /* answer with Allow (api_allow) */
};

/* Never NULL: an unknown code is an internal fault. */
const struct problem *problem_of(enum err_code code);

/* Appends {"message","type","param","code"}, on one line without a newline; the body of an
 * answer is that as the member `error` of an object. */
void problem_put(const struct err *err, struct buf *out);
void problem_body(const struct err *err, struct buf *out);

/* Whose clients an endpoint's errors are for. */
enum problem_form { PROBLEM_OPENAI, PROBLEM_ANTHROPIC };

/* Appends the body in a form: problem_body's, or {"type": "error", "error": {"type",
 * "message", "details"}, "request_id"}. request_id NULL: left out. */
void problem_body_as(enum problem_form form, const struct err *err,
                     const char *request_id, struct buf *out);

/* The header, besides X-Request-Id, that a form's clients find the request's id in; NULL:
 * none. */
const char *problem_id_field(enum problem_form form);

#endif
