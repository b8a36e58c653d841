/*
 * A place in a request's body, such as `messages[2].content[0].type`: a chain of members
 * and indices that lives on the readers' stack and becomes text only for an error. Pure
 * functions, any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_BODY_PATH_H
#define API_BODY_PATH_H

#include "api/value.h"
#include "engine/base/err.h"

/* One step: a member by the server's name, a member by the client's, or an element. */
struct body_path {
    const struct body_path *outer; /* NULL: the body itself */
    const char *name;              /* borrows; NULL: see key */
    const struct value *key;       /* borrows; NULL: an element */
    size_t index;
};

struct body_path body_path_member(const struct body_path *outer, const char *name);
struct body_path body_path_key(const struct body_path *outer, const struct value *key);
struct body_path body_path_element(const struct body_path *outer, size_t index);

/* Its text; at most cap bytes with the NUL, what is longer ends in "…". A name of the
 * client's that is not plain ASCII is written as [?]. */
void body_path_text(const struct body_path *at, char *text, size_t cap);

/* An error whose param is the path; the text is "`path` " and the message. */
int body_path_error(struct err *err, enum err_code code, const struct body_path *at,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ERR_ARGUMENT: "`path` must be <expected>, not <what v is>"; or that it is missing. */
int body_path_wrong(struct err *err, const struct body_path *at, const char *expected,
                    const struct value *v);

/* The same of a word out of a few: v is repeated if it is a short plain one. why: what
 * the text ends with; or NULL. */
int body_path_word(struct err *err, enum err_code code, const struct body_path *at,
                   const struct value *v, const char *expected, const char *why);

#endif
