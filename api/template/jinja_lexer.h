/*
 * From a template's source to tokens, with jinja2's white space control: trim_blocks and
 * lstrip_blocks are on, `-` strips, `+` keeps. Comments and raw are gone afterwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_LEXER_H
#define API_TEMPLATE_JINJA_LEXER_H

#include "api/template/jinja_source.h"

enum jinja_token_kind {
    JINJA_T_EOF,
    JINJA_T_DATA,
    JINJA_T_VARIABLE_BEGIN,
    JINJA_T_VARIABLE_END,
    JINJA_T_BLOCK_BEGIN,
    JINJA_T_BLOCK_END,
    JINJA_T_NAME,
    JINJA_T_STRING, /* text is decoded */
    JINJA_T_INTEGER,
    JINJA_T_REAL,
    JINJA_T_POW,
    JINJA_T_FLOORDIV,
    JINJA_T_EQ,
    JINJA_T_NE,
    JINJA_T_GE,
    JINJA_T_LE,
    JINJA_T_GT,
    JINJA_T_LT,
    JINJA_T_ASSIGN,
    JINJA_T_ADD,
    JINJA_T_SUB,
    JINJA_T_DIV,
    JINJA_T_MUL,
    JINJA_T_MOD,
    JINJA_T_TILDE,
    JINJA_T_LBRACKET,
    JINJA_T_RBRACKET,
    JINJA_T_LPAREN,
    JINJA_T_RPAREN,
    JINJA_T_LBRACE,
    JINJA_T_RBRACE,
    JINJA_T_DOT,
    JINJA_T_COLON,
    JINJA_T_PIPE,
    JINJA_T_COMMA,
    JINJA_T_SEMICOLON
};

struct jinja_token {
    enum jinja_token_kind kind;
    uint32_t line;
    struct jinja_span at; /* bytes of the source */
    const char *text;     /* [len]: of DATA, NAME, STRING */
    size_t len;
    int64_t integer;
    double real;
};

/* The tokens, the last is EOF; in the source's arena. NULL after a failure. */
struct jinja_token *jinja_lexer(struct jinja_source *s);

/* "a name", "'+'", for messages. */
const char *jinja_lexer_describe(enum jinja_token_kind kind);

#endif
