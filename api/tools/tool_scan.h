/*
 * One run over an answer from the start mark of a call: what a form's functions read
 * from. Bytes come in pieces; a function that needs more of them says so and is called
 * again at the same place. Private to this room; one owner.
 *
 * The subtle point: every byte is looked at a bounded number of times, however the answer
 * is cut and however many of its calls are broken. A form must therefore refuse a start
 * mark anywhere but in a string.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_TOOL_SCAN_H
#define API_TOOLS_TOOL_SCAN_H

#include "api/tools/answer_parser.h"
#include "api/tools/tool_args.h"

enum tool_step {
    TOOL_NEXT,  /* the phase has changed */
    TOOL_MORE,  /* bytes are missing */
    TOOL_CALL,  /* a call is whole; `at` is behind it, `phase` is what may follow */
    TOOL_END,   /* the form is over; `at` is where content goes on */
    TOOL_BROKEN /* no call: content from `unit` on; `at` is the byte that broke it */
};

struct tool_scan;
typedef enum tool_step tool_phase_fn(struct tool_scan *s);

struct tool_mark {
    const char *open, *close; /* close NULL: none */
};

enum { TOOL_FORM_MARKS = 3, TOOL_FORM_INNER = 2 };

/* What is special about a form. */
struct tool_form {
    const char *name;
    struct tool_mark marks[TOOL_FORM_MARKS]; /* ends with the first whose open is NULL */
    const char *inner[TOOL_FORM_INNER];      /* marks within a call */
    bool brace;            /* a brace at the begin of content is a start, too */
    bool brackets;         /* calls may stand in a list */
    char separator;        /* between calls behind one mark; 0: blanks */
    tool_phase_fn *begin;  /* behind a start mark */
    tool_phase_fn *behind; /* behind a call */
    tool_phase_fn *unit;   /* one call of a list */
    tool_phase_fn *resume; /* behind a separator that follows a broken call */
    bool (*opens)(char c); /* whether a call of a list begins so */
};

/* The object of a call, and which of its members count. */
struct tool_object {
    struct tool_literal literal;
    struct tool_span name, arguments; /* end 0: not seen */
    enum tool_kind name_kind, arguments_kind;
    bool first;         /* no member's name was looked at yet */
    bool has_arguments; /* by that name, which wins over `parameters` */
};

/* What broken calls have shown of the bytes held, good until offsets move. */
struct tool_memo {
    size_t from, to;  /* no value's end mark begins in there */
    size_t broken_at; /* a call that has a value before this breaks here at the latest */
};

struct tool_scan {
    const struct tool_form *form;
    const char *s; /* [len], what is held of the answer */
    size_t len;
    size_t wall; /* the first special token at or behind `at`; len: none */
    bool final;  /* nothing follows */

    size_t at;     /* the next byte */
    size_t unit;   /* where the present call, its mark included, begins */
    size_t resume; /* where the next mark is looked for if the call is broken */
    const struct tool_mark *mark; /* the start mark; NULL: none */
    bool listed;                  /* a bracket is open */
    bool quiet;                   /* if it breaks, it was no call: not a failure */
    tool_phase_fn *phase;

    struct tool_memo memo;
    struct tool_object object; /* forms without an object use its spans for theirs */
    struct tool_args args;
    struct buf name, arguments; /* own; of the call, where they are not as written */
    struct answer_call call;

    const struct tool_spec *specs; /* [n_specs] */
    size_t n_specs;
};

enum tool_match {
    TOOL_MATCH,
    TOOL_PARTIAL,  /* the bytes at hand fit, and end */
    TOOL_DIFFERENT /* or nothing follows */
};

bool tool_scan_blank(char c);

/* Skips blanks; MATCH when a byte follows that is none. */
enum tool_match tool_scan_blanks(struct tool_scan *s);

/* Skips this word, and only all of it. */
enum tool_match tool_scan_word(struct tool_scan *s, const char *word);

/* The byte that stands next is c, and no special token's. */
bool tool_scan_at(const struct tool_scan *s, char c);

/* The answer goes on as content at the present unit. */
enum tool_step tool_scan_back(struct tool_scan *s);

/* The tool of a name; NULL: there is none. */
const struct tool_spec *tool_scan_spec(const struct tool_scan *s, const char *name,
                                       size_t len);

/* A letter, a digit, or what else may be in a function's name. */
bool tool_scan_name_char(char c);

#endif
