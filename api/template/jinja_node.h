/*
 * The tree of a template: what the parser makes, the scopes annotate and the evaluation
 * walks. Constant once compiled; everything is in the template's arena.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_NODE_H
#define API_TEMPLATE_JINJA_NODE_H

#include "api/template/jinja_source.h"
#include "api/template/jinja_value.h"

enum {
    JINJA_NODE_DEPTH = 200,  /* expressions within expressions */
    JINJA_BLOCK_DEPTH = 100, /* statements within statements */
    JINJA_ARGS_MOST = 64     /* of a call */
};

enum jinja_node_kind {
    JINJA_CONSTANT,
    JINJA_NAME,
    JINJA_LIST_OF,
    JINJA_TUPLE_OF,
    JINJA_DICT_OF,
    JINJA_ATTRIBUTE,
    JINJA_ITEM,
    JINJA_SLICE,
    JINJA_CALL,
    JINJA_FILTER,
    JINJA_TEST,
    JINJA_NOT,
    JINJA_SIGN,
    JINJA_BINARY,
    JINJA_CONCAT,
    JINJA_COMPARE,
    JINJA_AND,
    JINJA_OR,
    JINJA_CHOICE, /* a if b else c */
    JINJA_N_EXPRESSIONS,
    JINJA_MEMBER = JINJA_N_EXPRESSIONS, /* a namespace's, as a target of set */
    JINJA_OUTPUT,
    JINJA_IF,
    JINJA_FOR,
    JINJA_SET,
    JINJA_SET_BLOCK,
    JINJA_MACRO,
    JINJA_CALL_BLOCK,
    JINJA_FILTER_BLOCK,
    JINJA_GENERATION,
    JINJA_WITH,
    JINJA_BREAK,
    JINJA_CONTINUE
};

struct jinja_node;

struct jinja_nodes {
    struct jinja_node **at; /* [n] */
    size_t n, cap;
};

/* A variable's place: in the activation `up` functions further out. */
struct jinja_ref {
    uint16_t up, slot;
};

struct jinja_name {
    const char *text;
    size_t len;
};

/* How a variable of a scope begins each time the scope is entered. */
enum jinja_load_from { JINJA_FROM_GLOBALS, JINJA_FROM_OUTER, JINJA_FROM_NOTHING };

struct jinja_load {
    enum jinja_load_from from;
    uint16_t slot;
    struct jinja_ref outer;
    struct jinja_name name;
};

struct jinja_loads {
    struct jinja_load *at; /* [n] */
    size_t n;
};

struct jinja_keyword {
    struct jinja_value name; /* text */
    struct jinja_node *value;
};

struct jinja_arguments {
    struct jinja_nodes plain;
    struct jinja_keyword *named; /* [n_named] */
    size_t n_named, named_cap;
    struct jinja_node *rest, *rest_named; /* *a, **b; NULL: none */
};

/* What a call enters: a macro, the body of a call block, a recursive loop's body, or the
 * whole template. Its activation has n_slots. */
struct jinja_function {
    struct jinja_name name;      /* len 0: a call block's */
    struct jinja_nodes params;   /* names */
    struct jinja_nodes defaults; /* of the last params */
    struct jinja_nodes body;
    struct jinja_loads loads;
    uint16_t n_slots;
    int caller, kwargs, varargs; /* their slots, -1: not mentioned */
};

/* {% for target in iter if test %} body {% else %} otherwise. */
struct jinja_for {
    struct jinja_node *target, *iter, *test, *test_target;
    struct jinja_nodes body, otherwise;
    struct jinja_loads body_loads, test_loads, otherwise_loads;
    int loop;                         /* the slot of `loop`, -1: not mentioned */
    struct jinja_function *recursive; /* the body as a function, NULL: it is not */
};

struct jinja_node {
    enum jinja_node_kind kind;
    int op; /* a token's kind: of BINARY, SIGN, COMPARE (see ops) */
    uint32_t line;
    uint16_t depth; /* of the expressions below */
    struct jinja_span at;
    union {
        struct jinja_value constant;
        struct {
            struct jinja_name name; /* NAME, and a MEMBER's namespace */
            struct jinja_ref ref;
            struct jinja_name member;
        };
        struct {
            struct jinja_nodes list; /* LIST, TUPLE, CONCAT, OUTPUT; DICT: key, value, … ;
                                      * COMPARE: the operands */
            const int *ops;          /* [list.n - 1] of COMPARE: tokens, or as below */
        };
        struct {
            struct jinja_node *a, *b, *c; /* a[b]; a[b:c:d] is ITEM of SLICE; a op b;
                                           * CHOICE: a if b else c */
        };
        struct {
            struct jinja_node *of;   /* NULL: a block's body */
            struct jinja_value word; /* ATTRIBUTE, FILTER, TEST: its name, as text */
            const void *impl;        /* FILTER, TEST: its row; NULL: unknown */
            struct jinja_arguments args;
        };
        struct {
            struct jinja_node *test;
            struct jinja_nodes then, otherwise;
            struct jinja_nodes elifs; /* IFs without these */
        } branch;
        struct jinja_for *loop;
        struct {
            struct jinja_node *target;
            struct jinja_node *value;        /* SET; CALL_BLOCK: the call; the filter of a
                                       * SET_BLOCK or FILTER_BLOCK, NULL: none */
            struct jinja_function *function; /* MACRO, CALL_BLOCK, GENERATION */
            struct jinja_nodes body;
            struct jinja_loads loads;
            struct jinja_nodes values; /* WITH: of the targets in target's list */
        } block;
    };
};

/* Operators of COMPARE that are words. */
enum { JINJA_OP_IN = 1000, JINJA_OP_NOT_IN };

/* Zeroed; NULL after a failure. */
struct jinja_node *jinja_node_new(struct jinja_source *s, enum jinja_node_kind kind,
                                  uint32_t line, uint32_t from);

/* `child` becomes part of `parent`, which counts its depth; NULL is ignored. */
void jinja_node_adopt(struct jinja_source *s, struct jinja_node *parent,
                      const struct jinja_node *child);

void jinja_node_add(struct jinja_source *s, struct jinja_nodes *list,
                    struct jinja_node *node);

/* A constant text, borrowed. */
struct jinja_value jinja_node_text(struct jinja_source *s, const char *text, size_t len);

#endif
