/*
 * The lexer: text up to a tag, the tag's tokens up to its end, and so on. Runs on the
 * thread that compiles. Literals are jinja_literal's.
 *
 * The subtle point is that an end of a tag counts only where brackets are balanced, so
 * that {{ {'a': {}} }} ends where it should.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_lexer.h"

#include "api/template/jinja_literal.h"
#include "api/template/jinja_space.h"

#include <string.h>

enum { BRACKETS_MOST = 200 };

struct lexer {
    struct jinja_source *source;
    const char *text;
    size_t len, pos;
    size_t counted; /* newlines of text[0..counted) are in `line` */
    uint32_t line;
    struct jinja_token *tokens;
    size_t n, cap;
    char brackets[BRACKETS_MOST]; /* the closing ones that are awaited */
    size_t n_brackets;
};

static const struct {
    char text[3];
    enum jinja_token_kind kind;
} operators[] = {
    {"**", JINJA_T_POW},     {"//", JINJA_T_FLOORDIV}, {"==", JINJA_T_EQ},
    {"!=", JINJA_T_NE},      {">=", JINJA_T_GE},       {"<=", JINJA_T_LE},
    {">", JINJA_T_GT},       {"<", JINJA_T_LT},        {"=", JINJA_T_ASSIGN},
    {"+", JINJA_T_ADD},      {"-", JINJA_T_SUB},       {"/", JINJA_T_DIV},
    {"*", JINJA_T_MUL},      {"%", JINJA_T_MOD},       {"~", JINJA_T_TILDE},
    {"[", JINJA_T_LBRACKET}, {"]", JINJA_T_RBRACKET},  {"(", JINJA_T_LPAREN},
    {")", JINJA_T_RPAREN},   {"{", JINJA_T_LBRACE},    {"}", JINJA_T_RBRACE},
    {".", JINJA_T_DOT},      {":", JINJA_T_COLON},     {"|", JINJA_T_PIPE},
    {",", JINJA_T_COMMA},    {";", JINJA_T_SEMICOLON},
};
enum { N_OPERATORS = sizeof operators / sizeof *operators };

const char *jinja_lexer_describe(enum jinja_token_kind kind)
{
    static const char *const names[] = {
        [JINJA_T_EOF] = "the end of the template",
        [JINJA_T_DATA] = "text",
        [JINJA_T_VARIABLE_BEGIN] = "'{{'",
        [JINJA_T_VARIABLE_END] = "'}}'",
        [JINJA_T_BLOCK_BEGIN] = "'{%'",
        [JINJA_T_BLOCK_END] = "'%}'",
        [JINJA_T_NAME] = "a name",
        [JINJA_T_STRING] = "a string",
        [JINJA_T_INTEGER] = "an integer",
        [JINJA_T_REAL] = "a number",
    };
    for (size_t i = 0; i < N_OPERATORS; i++)
        if (operators[i].kind == kind)
            return operators[i].text;
    return names[kind];
}

static uint32_t line_at(struct lexer *l, size_t pos)
{
    for (; l->counted < pos; l->counted++)
        l->line += l->text[l->counted] == '\n';
    return l->line;
}

static struct jinja_token *push(struct lexer *l, enum jinja_token_kind kind, size_t from,
                                size_t to)
{
    l->tokens = jinja_source_grow(l->source, l->tokens, l->n, &l->cap, sizeof *l->tokens);
    if (!l->tokens)
        return NULL;
    struct jinja_token *t = &l->tokens[l->n++];
    *t = (struct jinja_token){.kind = kind,
                              .line = line_at(l, from),
                              .at = {(uint32_t)from, (uint32_t)to},
                              .text = l->text + from,
                              .len = to - from};
    return t;
}

static bool starts(const struct lexer *l, size_t pos, const char *with)
{
    size_t n = strlen(with);
    return l->len - pos >= n && memcmp(l->text + pos, with, n) == 0;
}

static size_t past_spaces(const struct lexer *l, size_t pos)
{
    return pos + jinja_space_begin(l->text + pos, l->len - pos);
}

/* Past the end of a tag that stands at pos, 0: none does. */
static size_t tag_end(const struct lexer *l, size_t pos, const char *end, bool trims)
{
    size_t n = strlen(end);
    char sign = l->text[pos];
    if (sign == '-' && starts(l, pos + 1, end))
        return past_spaces(l, pos + 1 + n);
    if (sign == '+' && trims && starts(l, pos + 1, end))
        return pos + 1 + n;
    if (!starts(l, pos, end))
        return 0;
    return pos + n + (trims && starts(l, pos + n, "\n"));
}

/* The text before a tag whose sign is given, stripped as the sign says. */
static void push_text(struct lexer *l, size_t to, char sign, bool strips_line)
{
    size_t from = l->pos, end = to;
    const char *text = l->text;
    if (sign == '-') {
        end -= jinja_space_end(text + from, end - from);
    } else if (sign != '+' && strips_line) {
        const char *last = memrchr(text + from, '\n', end - from);
        size_t line = last ? (size_t)(last - text) + 1 : from;
        bool whole = last || from == 0 || text[from - 1] == '\n';
        if (whole && jinja_space_begin(text + line, end - line) == end - line)
            end = line;
    }
    if (end > from)
        push(l, JINJA_T_DATA, from, end);
}

static char sign_at(const struct lexer *l, size_t pos)
{
    return pos < l->len && (l->text[pos] == '-' || l->text[pos] == '+') ? l->text[pos]
                                                                        : '\0';
}

/* "{% raw %}" or "{% endraw %}" at pos: past it, 0: none. */
static size_t raw_tag(const struct lexer *l, size_t pos, const char *word, bool trims)
{
    size_t at = pos + 2 + (sign_at(l, pos + 2) != '\0');
    at = past_spaces(l, at);
    if (!starts(l, at, word))
        return 0;
    at = past_spaces(l, at + strlen(word));
    if (l->text[at] == '+' && !trims)
        return 0;
    return at < l->len ? tag_end(l, at, "%}", trims) : 0;
}

static void lex_raw(struct lexer *l, size_t begin, size_t inside)
{
    uint32_t line = line_at(l, begin);
    l->pos = inside;
    for (size_t at = inside; at + 2 <= l->len; at++) {
        size_t end = starts(l, at, "{%") ? raw_tag(l, at, "endraw", true) : 0;
        if (end) {
            push_text(l, at, sign_at(l, at + 2), true);
            l->pos = end;
            return;
        }
    }
    jinja_source_fail(l->source, line, "no {%% endraw %%} ends this raw block");
}

static void note_comment(struct lexer *l, size_t from, size_t to)
{
    struct jinja_source *s = l->source;
    s->comments = jinja_source_grow(s, s->comments, s->n_comments, &s->comments_cap,
                                    sizeof *s->comments);
    if (s->comments)
        s->comments[s->n_comments++] = (struct jinja_span){(uint32_t)from, (uint32_t)to};
}

static void lex_comment(struct lexer *l, size_t begin)
{
    size_t inside = begin + 2 + (sign_at(l, begin + 2) != '\0');
    const char *end =
        inside <= l->len ? memmem(l->text + inside, l->len - inside, "#}", 2) : NULL;
    if (!end) {
        jinja_source_fail(l->source, line_at(l, begin), "no '#}' ends this comment");
        return;
    }
    size_t at = (size_t)(end - l->text);
    if (at > inside && (end[-1] == '-' || end[-1] == '+'))
        at--;
    l->pos = tag_end(l, at, "#}", true);
    note_comment(l, begin, l->pos);
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || (unsigned char)c >= 0x80;
}

static void lex_name(struct lexer *l)
{
    size_t from = l->pos;
    while (l->pos < l->len && is_name(l->text[l->pos]) &&
           !jinja_space_first(l->text + l->pos, l->len - l->pos))
        l->pos++;
    push(l, JINJA_T_NAME, from, l->pos);
}

static void lex_number(struct lexer *l)
{
    struct jinja_token *t = push(l, JINJA_T_INTEGER, l->pos, l->pos);
    size_t n =
        t ? jinja_literal_number(l->source, t, l->text + l->pos, l->len - l->pos) : 0;
    l->pos += n;
    if (t)
        t->at.to = (uint32_t)l->pos;
}

static void lex_string(struct lexer *l)
{
    char quote = l->text[l->pos];
    size_t end = l->pos + 1;
    while (end < l->len && l->text[end] != quote)
        end += l->text[end] == '\\' ? 2 : 1;
    if (end >= l->len) {
        jinja_source_fail(l->source, line_at(l, l->pos), "this string has no end");
        return;
    }
    struct jinja_token *t = push(l, JINJA_T_STRING, l->pos, end + 1);
    if (t)
        jinja_literal_string(l->source, t, l->text + l->pos + 1, end - l->pos - 1);
    l->pos = end + 1;
}

/* Opening brackets are remembered, closing ones compared. */
static void balance(struct lexer *l, char c, uint32_t line)
{
    static const char open[] = "([{", close[] = ")]}";
    const char *o = strchr(open, c);
    if (o && l->n_brackets == BRACKETS_MOST)
        jinja_source_fail(l->source, line, "brackets are nested too deeply");
    else if (o)
        l->brackets[l->n_brackets++] = close[o - open];
    else if (!strchr(close, c))
        return;
    else if (l->n_brackets == 0)
        jinja_source_fail(l->source, line, "unexpected '%c'", c);
    else if (l->brackets[--l->n_brackets] != c)
        jinja_source_fail(l->source, line, "unexpected '%c', expected '%c'", c,
                          l->brackets[l->n_brackets]);
}

static void lex_operator(struct lexer *l)
{
    for (size_t i = 0; i < N_OPERATORS; i++) {
        if (!starts(l, l->pos, operators[i].text))
            continue;
        size_t n = strlen(operators[i].text);
        struct jinja_token *t = push(l, operators[i].kind, l->pos, l->pos + n);
        if (t && n == 1)
            balance(l, operators[i].text[0], t->line);
        l->pos += n;
        return;
    }
    jinja_source_fail(l->source, line_at(l, l->pos), "unexpected character '%c'",
                      l->text[l->pos] < ' ' ? '?' : l->text[l->pos]);
}

static void lex_token(struct lexer *l)
{
    char c = l->text[l->pos];
    if (c >= '0' && c <= '9')
        lex_number(l);
    else if (c == '\'' || c == '"')
        lex_string(l);
    else if (is_name(c))
        lex_name(l);
    else
        lex_operator(l);
}

/* The tokens of a tag, up to and with its end. */
static void lex_tag(struct lexer *l, size_t begin, bool is_block)
{
    uint32_t line = line_at(l, begin);
    const char *end = is_block ? "%}" : "}}";
    l->pos = begin + 2 + (sign_at(l, begin + 2) != '\0');
    l->n_brackets = 0;
    push(l, is_block ? JINJA_T_BLOCK_BEGIN : JINJA_T_VARIABLE_BEGIN, begin, l->pos);
    while (!l->source->failed) {
        l->pos = past_spaces(l, l->pos);
        if (l->pos >= l->len) {
            jinja_source_fail(l->source, line, "no '%s' ends this tag", end);
            return;
        }
        size_t past = l->n_brackets == 0 ? tag_end(l, l->pos, end, is_block) : 0;
        if (past) {
            push(l, is_block ? JINJA_T_BLOCK_END : JINJA_T_VARIABLE_END, l->pos, past);
            l->pos = past;
            return;
        }
        lex_token(l);
    }
}

/* Where the next tag begins, or the end. */
static size_t next_tag(const struct lexer *l)
{
    size_t at = l->pos;
    while (at < l->len) {
        const char *brace = memchr(l->text + at, '{', l->len - at);
        if (!brace)
            break;
        at = (size_t)(brace - l->text);
        if (brace[1] == '{' || brace[1] == '%' || brace[1] == '#')
            return at;
        at++;
    }
    return l->len;
}

static void lex_next(struct lexer *l)
{
    size_t at = next_tag(l);
    if (at == l->len) {
        if (at > l->pos)
            push(l, JINJA_T_DATA, l->pos, at);
        l->pos = at;
        return;
    }
    char kind = l->text[at + 1];
    push_text(l, at, sign_at(l, at + 2), kind != '{');
    size_t raw = kind == '%' ? raw_tag(l, at, "raw", false) : 0;
    if (raw)
        lex_raw(l, at, raw);
    else if (kind == '#')
        lex_comment(l, at);
    else
        lex_tag(l, at, kind == '%');
}

struct jinja_token *jinja_lexer(struct jinja_source *s)
{
    struct lexer l = {.source = s, .text = s->text, .len = s->len, .line = 1};
    while (!s->failed && l.pos < l.len)
        lex_next(&l);
    if (!s->failed)
        push(&l, JINJA_T_EOF, l.len, l.len);
    return s->failed ? NULL : l.tokens;
}
