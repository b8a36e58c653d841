/*
 * The values of a template: Python's, as jinja2 sees them, with strings that know which
 * of their bytes a client wrote. One render owns them all, through its arena.
 *
 * The subtle point: a mark follows its byte through every operation. 0 is the template's
 * own text (and the server's, such as bos_token); any other mark is a client's, names the
 * message it came from, and says whether that is an assistant's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_VALUE_H
#define API_TEMPLATE_JINJA_VALUE_H

#include "engine/base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JINJA_MARK_ASSISTANT = 0x8000, JINJA_MARK_OTHER = 0x7FFF }; /* of no message */

/* The mark of the bytes of message `i`. */
static inline uint16_t jinja_mark(size_t i, bool assistant)
{
    unsigned n = i + 1 < JINJA_MARK_OTHER ? (unsigned)i + 1 : JINJA_MARK_OTHER;
    return (uint16_t)(n | (assistant ? JINJA_MARK_ASSISTANT : 0u));
}

enum jinja_kind {
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_REAL,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_CALLABLE /* a macro, a global function, a bound method */
};

struct jinja_list;
struct jinja_dict; /* keeps the order of insertion */
struct jinja_callable;

struct jinja_string {
    const char *text; /* valid UTF-8, a NUL behind it is not promised */
    size_t len;
    const uint16_t *marks; /* [len]; NULL: all bytes have `mark` */
    uint16_t mark;
    bool safe; /* markupsafe's Markup */
};

struct jinja_value {
    enum jinja_kind kind;
    union {
        bool truth;
        int64_t integer;
        double real;
        const struct jinja_string *string;
        struct jinja_list *list; /* LIST, TUPLE */
        struct jinja_dict *dict; /* DICT, NAMESPACE */
        const struct jinja_callable *callable;
        const char *name; /* UNDEFINED: what was not found; may be NULL */
    };
};

struct jinja_value jinja_none(void);
struct jinja_value jinja_bool(bool truth);
struct jinja_value jinja_int(int64_t integer);
struct jinja_value jinja_real(double real);

/* These take memory from the arena; false, or UNDEFINED for a value, when it is out. The
 * text is borrowed. A dict's key must be hashable: text, number, boolean, none or a tuple
 * of these; putting a key again keeps its place. */
struct jinja_value jinja_text(struct arena *a, const char *text, size_t len,
                              uint16_t mark);
struct jinja_value jinja_list(struct arena *a);
bool jinja_list_add(struct arena *a, struct jinja_list *list, struct jinja_value v);
struct jinja_value jinja_dict(struct arena *a);
bool jinja_dict_put(struct arena *a, struct jinja_dict *d, struct jinja_value key,
                    struct jinja_value v);
/* The same under a name of the server's, which is borrowed. */
bool jinja_dict_set(struct arena *a, struct jinja_dict *d, const char *name,
                    struct jinja_value v);

/* UNDEFINED where there is none. */
struct jinja_value jinja_dict_get(const struct jinja_dict *d, const char *name,
                                  size_t len);
size_t jinja_list_len(const struct jinja_list *list);
struct jinja_value jinja_list_at(const struct jinja_list *list, size_t i);

#endif
