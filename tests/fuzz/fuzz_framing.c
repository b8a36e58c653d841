/*
 * Bodies by length and in chunks. However the bytes are cut, and however few the owner
 * takes at once, content and verdict are those of one piece; and they are those of a
 * second reader, written here by the grammar (RFC 9112, section 7.1) with the same
 * limits. Beyond the grammar any text may stand behind a semicolon, and trailers may be
 * any lines, for both are ignored. The first three bytes choose
 * framing, length and cuts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "server/http/framing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTIONS = 3, MOST_LINE = 256, MOST_TRAILERS = 8192 };

struct result {
    enum err_code code;
    bool done;
    size_t used, n; /* bytes of everything; of content */
    char *content;  /* borrows */
};

/* Ends the run by name when an invariant does not hold. */
#define must(holds)                                                                      \
    ((holds) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #holds), abort()))

/* ---- the framing, in pieces -------------------------------------------------- */

struct cuts {
    size_t most;
    unsigned seed;
};

static size_t cut(struct cuts *c, size_t left)
{
    c->seed = c->seed * 1103515245u + 12345u;
    size_t n = 1 + (c->seed >> 16) % c->most;
    return n < left ? n : left;
}

static void take_piece(struct framing *f, struct result *r, struct cuts *c,
                       const char *piece, size_t len)
{
    struct err err = {0};
    for (size_t used = 0; used < len && !r->code && !framing_done(f);) {
        ssize_t n = framing_read(f, piece + used, len - used, &err);
        must(n >= 0 ? (size_t)n <= len - used : n == -(ssize_t)err.code && err.text[0]);
        r->code = err.code;
        if (n < 0)
            return;
        used += (size_t)n;
        r->used += (size_t)n;
        size_t content = framing_content(f, len - used);
        must(content <= len - used && (n > 0 || content > 0));
        if (content == 0)
            continue;
        content = cut(c, content);
        memcpy(r->content + r->n, piece + used, content);
        framing_took(f, content);
        r->n += content;
        r->used += content;
        used += content;
    }
}

static struct result read_pieces(struct framing f, struct cuts c, const char *data,
                                 size_t len, char *content)
{
    struct result r = {.content = content};
    for (size_t at = 0; at < len && !r.code && !framing_done(&f);) {
        size_t n = cut(&c, len - at);
        char *piece = mem_alloc(n);
        memcpy(piece, data + at, n);
        take_piece(&f, &r, &c, piece, n);
        mem_free(piece);
        at += n;
    }
    r.done = framing_done(&f);
    return r;
}

/* ---- a second reader -------------------------------------------------------- */

enum { END = -1 };

struct reader {
    struct result r;
    const char *data;
    size_t len, left; /* left: bytes that this line or these trailers may still have */
    enum err_code full;
};

/* The next byte, which stays; END at the end of the data or after a fault. */
static int peek(struct reader *x)
{
    if (x->r.code || x->r.used == x->len)
        return END;
    if (x->left == 0) {
        x->r.code = x->full;
        return END;
    }
    return (unsigned char)x->data[x->r.used];
}

static void skip(struct reader *x)
{
    x->r.used++;
    x->left--;
}

static void bad(struct reader *x)
{
    if (!x->r.code && x->r.used < x->len)
        x->r.code = ERR_ARGUMENT;
}

static void begin(struct reader *x, size_t most, enum err_code full)
{
    x->left = most;
    x->full = full;
}

/* CR LF, in trailers LF, too; false: there is none, or not all of it. */
static bool line_end(struct reader *x, bool bare)
{
    if (peek(x) == '\r')
        skip(x);
    else if (!bare)
        bad(x);
    if (peek(x) != '\n') {
        bad(x);
        return false;
    }
    skip(x);
    return true;
}

static int digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool text_byte(int c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

/* chunk-size [ BWS ";" text ] line end; false: no chunk. */
static bool chunk_line(struct reader *x, uint64_t *size)
{
    begin(x, MOST_LINE, ERR_ARGUMENT);
    *size = 0;
    if (digit(peek(x)) < 0)
        bad(x);
    for (int d; (d = digit(peek(x))) >= 0; skip(x)) {
        if (*size >= (uint64_t)1 << 56) {
            x->r.code = ERR_TOO_LARGE;
            return false;
        }
        *size = *size * 16 + (unsigned)d;
    }
    while (peek(x) == ' ' || peek(x) == '\t')
        skip(x);
    if (peek(x) == ';')
        while (text_byte(peek(x)))
            skip(x);
    return line_end(x, false);
}

/* *( line ) line end */
static bool trailers(struct reader *x)
{
    begin(x, MOST_TRAILERS, ERR_HEADERS);
    for (size_t from = 0;;) {
        from = x->r.used;
        for (int c; (c = peek(x)) != END && c != '\r' && c != '\n';)
            skip(x);
        bool empty = x->r.used == from;
        if (!line_end(x, true))
            return false;
        if (empty)
            return true;
    }
}

static void content(struct reader *x, uint64_t size)
{
    size_t there = x->len - x->r.used, n = size < there ? (size_t)size : there;
    memcpy(x->r.content + x->r.n, x->data + x->r.used, n);
    x->r.n += n;
    x->r.used += n;
}

static struct result read_chunks(const char *data, size_t len, char *to)
{
    struct reader x = {.r = {.content = to}, .data = data, .len = len};
    uint64_t size;
    while (chunk_line(&x, &size)) {
        if (size == 0) {
            x.r.done = trailers(&x);
            return x.r;
        }
        content(&x, size);
        begin(&x, MOST_LINE, ERR_ARGUMENT);
        if (!line_end(&x, false))
            break;
    }
    return x.r;
}

static struct result read_length(const char *data, size_t len, uint64_t size, char *to)
{
    struct reader x = {.r = {.content = to}, .data = data, .len = len};
    content(&x, size);
    x.r.done = x.r.n == size;
    return x.r;
}

/* ---- both -------------------------------------------------------------------- */

static void same(const struct result *a, const struct result *b)
{
    must(a->code == b->code && a->done == b->done && a->n == b->n);
    must(memcmp(a->content, b->content, a->n) == 0);
    must(a->code || a->used == b->used); /* after a fault nothing is used */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < OPTIONS)
        return 0;
    const char *text = (const char *)data + OPTIONS;
    size_t len = size - OPTIONS;
    bool chunked = data[0] & 1;
    struct framing f;
    framing_open(&f, chunked, data[1]);
    char *to = mem_alloc(2 * len + 2), *mine = to + len + 1;
    struct result expected =
        chunked ? read_chunks(text, len, mine) : read_length(text, len, data[1], mine);
    const struct cuts cuts[] = {
        {len + 1, 0}, {1, 0}, {1 + data[2], data[0]}, {1 + data[2] % 4, data[1]}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct result r = read_pieces(f, cuts[i], text, len, to);
        same(&r, &expected);
    }
    mem_free(to);
    return 0;
}
