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
    JINJA_VIEW,     /* a dict's keys(), values() or items() */
    JINJA_ITERATOR, /* what generators answer: read once, without a length */
    JINJA_RANGE,
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_CALLABLE /* a macro, a global function, a bound method, a loop */
};

struct jinja_string {
    const char *text; /* valid UTF-8, a NUL behind it is not promised */
    size_t len;
    const uint16_t *marks; /* [len]; NULL: all bytes have `mark` */
    uint16_t mark;
    bool safe; /* markupsafe's Markup */
};

struct jinja_list;
struct jinja_dict;
struct jinja_callable;

struct jinja_value {
    enum jinja_kind kind;
    union {
        bool truth;
        int64_t integer;
        double real;
        const struct jinja_string *string;
        struct jinja_list *list; /* LIST, TUPLE, VIEW, ITERATOR */
        const struct jinja_range *range;
        struct jinja_dict *dict; /* DICT, NAMESPACE */
        const struct jinja_callable *callable;
        const char *name; /* UNDEFINED: what was not found; may be NULL */
    };
};

struct jinja_list {
    struct jinja_value *items; /* [n] */
    size_t n, cap;
    size_t next;      /* ITERATOR: the first item not read yet */
    const char *type; /* VIEW, ITERATOR: Python's name of it, such as "dict_keys" */
};

struct jinja_range {
    int64_t start, stop, step;
    size_t n;
};

struct jinja_entry {
    struct jinja_value key, value;
    uint64_t hash;
};

struct jinja_dict {
    struct jinja_entry *entries; /* [n], in the order of insertion */
    size_t n, cap;
    uint32_t *slots; /* [n_slots]: 1 + index of an entry, 0: empty; NULL while small */
    size_t n_slots;  /* a power of two */
};

struct jinja_value jinja_none(void);
struct jinja_value jinja_bool(bool truth);
struct jinja_value jinja_int(int64_t integer);
struct jinja_value jinja_real(double real);

/* These take memory from the arena; false, or UNDEFINED for a value, when it is out. The
 * text is borrowed. A dict's key must be hashable (jinja_hashable); putting a key again
 * keeps its place. */
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
/* NULL where there is none; also for a key that is not hashable. */
const struct jinja_entry *jinja_dict_find(const struct jinja_dict *d,
                                          struct jinja_value key);
size_t jinja_dict_len(const struct jinja_dict *d);
const struct jinja_entry *jinja_dict_at(const struct jinja_dict *d, size_t i);
size_t jinja_list_len(const struct jinja_list *list);
struct jinja_value jinja_list_at(const struct jinja_list *list, size_t i);

/* Text, number, boolean, none, undefined or a tuple of these. */
bool jinja_hashable(struct jinja_value key);

#endif
