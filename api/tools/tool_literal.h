/*
 * A value as a model writes it: JSON, or Python's literals. Read in pieces, byte by byte,
 * without recursion; one owner, no allocation of its own.
 *
 * JSON (RFC 8259) is strict and checked only: what was good may be passed on as written.
 * Python's dialect takes JSON too, and is transcribed into JSON while it is read: either
 * quote, its escapes, True, False, None, tuples, a comma behind the last element, `+1`,
 * `.5` and `5.`. Refused in both: nesting deeper than TOOL_LITERAL_DEPTH, half a surrogate
 * pair. Raw newlines in strings are Python's only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_TOOL_LITERAL_H
#define API_TOOLS_TOOL_LITERAL_H

#include "engine/base/buf.h"

#include <stdint.h>

enum { TOOL_LITERAL_DEPTH = 256 };

enum tool_kind {
    TOOL_KIND_NONE,
    TOOL_KIND_OBJECT,
    TOOL_KIND_ARRAY,
    TOOL_KIND_STRING,
    TOOL_KIND_INTEGER,
    TOOL_KIND_REAL,
    TOOL_KIND_BOOLEAN,
    TOOL_KIND_NULL
};

enum tool_literal_status {
    TOOL_LITERAL_MORE,   /* the bytes ended before the value did */
    TOOL_LITERAL_MEMBER, /* a member of the outermost object has ended: key, value */
    TOOL_LITERAL_DONE,   /* the value has ended */
    TOOL_LITERAL_BROKEN
};

struct tool_span {
    size_t at, end;
};

struct tool_literal {
    struct buf *out; /* borrowed: Python's dialect, its JSON is appended; NULL: JSON */
    enum tool_kind kind;         /* of the outermost value */
    size_t at;                   /* the next byte's offset, as the caller counts */
    struct tool_span key, value; /* of the last member; a string's with its quotes */
    enum tool_kind value_kind;

    /* The file's own. */
    uint8_t state, number, quote, digits_left;
    bool is_key, comma, member;
    const char *word; /* what is left of a word that is being spelled */
    uint32_t code, high;
    size_t depth;
    uint8_t stack[TOOL_LITERAL_DEPTH]; /* openers; a tuple's is ',' once it has a comma */
};

/* The next byte is the value's first one; blanks before it are allowed. */
void tool_literal_begin(struct tool_literal *l, size_t at, struct buf *out);

/* Reads s[l->at, end) as far as the next event; l->at is behind what was read. A number
 * ends before the byte that is no part of it, a string or container behind its last. */
enum tool_literal_status tool_literal_run(struct tool_literal *l, const char *s,
                                          size_t end);

/* No byte follows: DONE or BROKEN. */
enum tool_literal_status tool_literal_end(struct tool_literal *l);

/* The kind of a text that is one literal, blanks around it allowed; NONE: it is none, and
 * what `out` got of it is taken back. */
enum tool_kind tool_literal_kind(const char *s, size_t len, struct buf *out);

/* Appends what a good JSON string [with its quotes] says. */
void tool_literal_text(struct buf *out, const char *s, size_t len);

#endif
