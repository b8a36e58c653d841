/*
 * A recursive descent over the text (RFC 8259). Values of the array or object that is
 * being read wait on a stack; at its end they are copied to where they stay. No string
 * is longer decoded than written, so one block of the text's length holds them all. Runs
 * on the thread of its caller.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/json_parse.h"

#include "engine/base/arena.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 2048, POOL_BYTES = 64 << 10 };

struct document {
    struct json root; /* first: json.h hands out its address */
    struct arena arena;
};

struct parser {
    const char *at, *end;
    const char *wrong; /* what is wrong at `at`; NULL: out of memory */
    struct arena *arena;
    char *text; /* next free byte of the block of strings */
    char *pool; /* next free byte for nodes */
    size_t pool_left;
    struct json_member *stack; /* owns; values without their array or object */
    size_t n, cap;
    int depth;
    bool reals;
};

static bool value(struct parser *p, struct json *out);

static bool fail(struct parser *p, const char *wrong)
{
    p->wrong = wrong;
    return false;
}

static bool no_memory(struct parser *p)
{
    return fail(p, NULL);
}

static char peek(const struct parser *p)
{
    return p->at < p->end ? *p->at : '\0';
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end &&
           (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

static void *take(struct parser *p, size_t bytes)
{
    bytes = (bytes / 8 + 1) * 8; /* never none: NULL is out of memory */
    if (bytes > p->pool_left) {
        size_t size = bytes > POOL_BYTES / 4 ? bytes : POOL_BYTES;
        char *block = arena_alloc(p->arena, size);
        if (!block || size == bytes)
            return block;
        p->pool = block;
        p->pool_left = size;
    }
    void *piece = p->pool;
    p->pool += bytes;
    p->pool_left -= bytes;
    return piece;
}

/* ---- strings ---------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX; p->at is at the 'u'. -1: they are none. */
static int32_t hex4(struct parser *p)
{
    int32_t c = 0;
    if (p->end - p->at < 5)
        return -1;
    for (int i = 1; i <= 4; i++) {
        int digit = hex_digit(p->at[i]);
        if (digit < 0)
            return -1;
        c = c << 4 | digit;
    }
    p->at += 5;
    return c;
}

static bool unicode(struct parser *p, char **to)
{
    int32_t c = hex4(p), low;
    if (c >= 0xD800 && c < 0xDC00) {
        if (p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
            return fail(p, "half of a surrogate pair");
        p->at++;
        low = hex4(p);
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(p, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c >= 0xDC00 && c <= 0xDFFF) {
        return fail(p, "half of a surrogate pair");
    }
    if (c < 0)
        return fail(p, "\\u without four hexadecimal digits");
    *to += utf8_encode((uint32_t)c, *to);
    return true;
}

static bool escape(struct parser *p, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    p->at++;
    if (peek(p) == 'u')
        return unicode(p, to);
    const char *c = peek(p) ? strchr(from, peek(p)) : NULL;
    if (!c)
        return fail(p, "an escape that JSON does not have");
    *(*to)++ = into[c - from];
    p->at++;
    return true;
}

/* A character that does not stand for itself alone: an escape or more than one byte. */
static bool character(struct parser *p, char **to)
{
    uint32_t c;
    if (*p->at == '\\')
        return escape(p, to);
    if ((unsigned char)*p->at < 0x20)
        return fail(p, "a control character in a string");
    int n = utf8_decode(p->at, (size_t)(p->end - p->at), &c);
    if (n <= 0)
        return fail(p, "invalid UTF-8");
    memcpy(*to, p->at, (size_t)n);
    *to += n;
    p->at += n;
    return true;
}

static bool plain(char c)
{
    return (unsigned char)(c - 0x20) < 0x60 && c != '"' && c != '\\';
}

static bool string(struct parser *p, const char **s, uint32_t *len)
{
    char *to = p->text;
    for (p->at++; peek(p) != '"';) {
        if (p->at == p->end)
            return fail(p, "a string without its end");
        if (plain(*p->at))
            *to++ = *p->at++;
        else if (!character(p, &to))
            return false;
    }
    p->at++;
    *to = '\0';
    *s = p->text;
    *len = (uint32_t)(to - p->text);
    p->text = to + 1;
    return true;
}

/* ---- numbers and words ------------------------------------------------------ */

static size_t digits(struct parser *p)
{
    const char *from = p->at;
    while (peek(p) >= '0' && peek(p) <= '9')
        p->at++;
    return (size_t)(p->at - from);
}

/* Moves behind a number; *is_real: it has a fraction or an exponent. */
static bool pass_number(struct parser *p, bool *is_real)
{
    p->at += peek(p) == '-';
    if (peek(p) == '0')
        p->at++;
    else if (digits(p) == 0)
        return fail(p, "a number without digits");
    if (peek(p) == '.') {
        *is_real = true;
        p->at++;
        if (digits(p) == 0)
            return fail(p, "a fraction without digits");
    }
    if (peek(p) != 'e' && peek(p) != 'E')
        return true;
    *is_real = true;
    p->at++;
    p->at += peek(p) == '+' || peek(p) == '-';
    return digits(p) > 0 || fail(p, "an exponent without digits");
}

static bool whole(const char *s, const char *end, int64_t *out)
{
    bool minus = *s == '-';
    int64_t x = 0;
    for (s += minus; s < end; s++)
        if (__builtin_mul_overflow(x, 10, &x) ||
            __builtin_sub_overflow(x, *s - '0', &x)) /* below 0 reaches one further */
            return false;
    *out = x;
    return minus || !__builtin_sub_overflow(0, x, out);
}

/* The digits are copied to where the next string will be, for strtod needs their end. */
static bool real(struct parser *p, const char *from, double *out)
{
    size_t len = (size_t)(p->at - from);
    memcpy(p->text, from, len);
    p->text[len] = '\0';
    *out = strtod(p->text, NULL);
    return isfinite(*out);
}

static bool number(struct parser *p, struct json *out)
{
    const char *from = p->at;
    bool is_real = p->reals;
    if (!pass_number(p, &is_real))
        return false;
    out->kind = is_real ? JK_REAL : JK_INT;
    if (is_real ? real(p, from, &out->as.real) : whole(from, p->at, &out->as.whole))
        return true;
    p->at = from;
    return fail(p, is_real ? "a number beyond the largest double"
                           : "an integer of more than 64 bits");
}

static bool word(struct parser *p, struct json *out)
{
    static const struct {
        const char *text;
        enum json_kind kind;
        bool truth;
    } words[] = {
        {"null", JK_NULL, false}, {"true", JK_BOOL, true}, {"false", JK_BOOL, false}};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i].text);
        if ((size_t)(p->end - p->at) < n || memcmp(p->at, words[i].text, n) != 0)
            continue;
        p->at += n;
        out->kind = words[i].kind;
        out->as.truth = words[i].truth;
        return true;
    }
    return fail(p,
                p->at == p->end ? "expected a value, found the end" : "expected a value");
}

/* ---- arrays and objects ----------------------------------------------------- */

static bool push(struct parser *p, const struct json_member *m)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        struct json_member *s = mem_grow(p->stack, p->n * sizeof *s, cap * sizeof *s);
        if (!s)
            return no_memory(p);
        p->stack = s;
        p->cap = cap;
    }
    p->stack[p->n++] = *m;
    return true;
}

static bool same_key(const struct json_member *m, const char *key, size_t len)
{
    return m->key_len == len && memcmp(m->key, key, len) == 0;
}

static size_t index_cap(uint32_t n)
{
    size_t cap = 4 * JSON_SMALL;
    while (cap < 2 * (size_t)n)
        cap *= 2;
    return cap;
}

static uint32_t *index_of(const struct json *object)
{
    return (uint32_t *)(void *)(object->as.pairs + object->n);
}

/* The slot of a key: its member's number + 1, or 0 where it would be. */
static uint32_t *index_slot(const struct json *object, const char *key, size_t len,
                            uint32_t hash)
{
    uint32_t *slots = index_of(object);
    size_t mask = index_cap(object->n) - 1, i = hash & mask;
    for (; slots[i]; i = (i + 1) & mask) {
        const struct json_member *m = &object->as.pairs[slots[i] - 1];
        if (m->hash == hash && same_key(m, key, len))
            break;
    }
    return &slots[i];
}

/* Fills the index; false: a key is there twice. */
static bool index_fill(struct json *object)
{
    memset(index_of(object), 0, index_cap(object->n) * sizeof(uint32_t));
    for (uint32_t i = 0; i < object->n; i++) {
        struct json_member *m = &object->as.pairs[i];
        m->hash = (uint32_t)hash_bytes(m->key, m->key_len);
        uint32_t *slot = index_slot(object, m->key, m->key_len, m->hash);
        if (*slot)
            return false;
        *slot = i + 1;
    }
    return true;
}

static bool unique(struct json *object)
{
    const struct json_member *m = object->as.pairs;
    if (object->n > JSON_SMALL)
        return index_fill(object);
    for (uint32_t i = 1; i < object->n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (same_key(&m[k], m[i].key, m[i].key_len))
                return false;
    return true;
}

static bool end_object(struct parser *p, size_t base, struct json *out)
{
    size_t n = p->n - base, bytes = n * sizeof *p->stack;
    size_t more = n > JSON_SMALL ? index_cap((uint32_t)n) * sizeof(uint32_t) : 0;
    out->kind = JK_OBJECT;
    out->n = (uint32_t)n;
    out->as.pairs = take(p, bytes + more);
    if (!out->as.pairs)
        return no_memory(p);
    if (n)
        memcpy(out->as.pairs, p->stack + base, bytes);
    p->n = base;
    return unique(out) || fail(p, "an object with duplicate keys");
}

static bool end_array(struct parser *p, size_t base, struct json *out)
{
    size_t n = p->n - base;
    out->kind = JK_ARRAY;
    out->n = (uint32_t)n;
    out->as.items = take(p, n * sizeof *out);
    if (!out->as.items)
        return no_memory(p);
    for (size_t i = 0; i < n; i++)
        out->as.items[i] = p->stack[base + i].v;
    p->n = base;
    return true;
}

static bool key(struct parser *p, struct json_member *m)
{
    skip_space(p);
    if (peek(p) != '"')
        return fail(p, "expected a key");
    if (!string(p, &m->key, &m->key_len))
        return false;
    if (strlen(m->key) != m->key_len)
        return fail(p, "a NUL in a key");
    skip_space(p);
    if (peek(p) != ':')
        return fail(p, "expected a colon");
    p->at++;
    return true;
}

/* Reads what stands between the brackets, and the closing one. */
static bool elements(struct parser *p, bool keys)
{
    char end = keys ? '}' : ']';
    p->at++;
    skip_space(p);
    if (peek(p) == end) {
        p->at++;
        return true;
    }
    for (;; p->at++) {
        struct json_member m = {0};
        if ((keys && !key(p, &m)) || !value(p, &m.v) || !push(p, &m))
            return false;
        skip_space(p);
        if (peek(p) == end)
            break;
        if (peek(p) != ',')
            return fail(p, keys ? "expected , or }" : "expected , or ]");
    }
    p->at++;
    return true;
}

static bool bracket(struct parser *p, struct json *out)
{
    size_t base = p->n;
    bool keys = *p->at == '{';
    if (p->depth == MOST_DEPTH)
        return fail(p, "nesting of more than 2048 levels");
    p->depth++;
    if (!elements(p, keys))
        return false;
    p->depth--;
    return keys ? end_object(p, base, out) : end_array(p, base, out);
}

static bool value(struct parser *p, struct json *out)
{
    skip_space(p);
    char c = peek(p);
    if (c == '{' || c == '[')
        return bracket(p, out);
    if (c == '-' || (c >= '0' && c <= '9'))
        return number(p, out);
    if (c != '"')
        return word(p, out);
    out->kind = JK_STRING;
    return string(p, &out->as.text, &out->n);
}

/* ---- the document ----------------------------------------------------------- */

static bool whole_text(struct parser *p, struct json *root)
{
    if (!value(p, root))
        return false;
    skip_space(p);
    return p->at == p->end || fail(p, "text behind the value");
}

static int report(const struct parser *p, const char *text, size_t len, struct err *err)
{
    int line = 1;
    const char *begin = text;
    if (!p->wrong)
        return err_set(err, ERR_MEMORY, "out of memory for %zu bytes of JSON", len);
    for (const char *s = text; s < p->at; s++) {
        line += *s == '\n';
        begin = *s == '\n' ? s + 1 : begin;
    }
    return err_set(err, ERR_FORMAT, "invalid JSON at line %d, column %d: %s", line,
                   (int)(p->at - begin) + 1, p->wrong);
}

int json_parse_tree(struct json **out, const char *text, size_t len, bool reals,
                    struct err *err)
{
    if (len > INT32_MAX)
        return err_set(err, ERR_FORMAT, "expected at most %d bytes of JSON, found %zu",
                       INT32_MAX, len);
    struct document *d = mem_zalloc(1, sizeof *d);
    struct parser p = {.at = text, .end = text + len, .reals = reals};
    if (d) {
        arena_init(&d->arena);
        p.arena = &d->arena;
        p.text = arena_alloc(&d->arena, len + 1);
    }
    bool good = p.text && whole_text(&p, &d->root);
    mem_free(p.stack);
    if (good) {
        *out = &d->root;
        return 0;
    }
    json_parse_free(d ? &d->root : NULL);
    return report(&p, text, len, err);
}

void json_parse_free(struct json *root)
{
    struct document *d = (struct document *)(void *)root;
    if (!d)
        return;
    arena_free(&d->arena);
    mem_free(d);
}

const struct json *json_parse_find(const struct json *object, const char *key, size_t len)
{
    if (object->n > JSON_SMALL) {
        uint32_t hash = (uint32_t)hash_bytes(key, len);
        uint32_t slot = *index_slot(object, key, len, hash);
        return slot ? &object->as.pairs[slot - 1].v : NULL;
    }
    for (uint32_t i = 0; i < object->n; i++)
        if (same_key(&object->as.pairs[i], key, len))
            return &object->as.pairs[i].v;
    return NULL;
}
