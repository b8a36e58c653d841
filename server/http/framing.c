/* One byte at a time through what is not content.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/framing.h"

enum { MAX_CHUNK_LINE = 256, MAX_TRAILERS = 8192, MAX_SIZE_BITS = 60 };

void framing_open(struct framing *f, bool chunked, uint64_t content_length)
{
    *f = (struct framing){.chunked = chunked, .left = chunked ? 0 : content_length};
    if (chunked)
        f->place = FRAMING_SIZE;
    else if (content_length == 0)
        f->place = FRAMING_DONE;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int bad_chunk(struct err *err)
{
    return err_set(err, ERR_ARGUMENT, "the body is not well chunked");
}

/* The chunk's line has ended. */
static void enter_chunk(struct framing *f)
{
    f->place = f->left ? FRAMING_CONTENT : FRAMING_TRAILERS;
    f->line = f->column = 0;
    f->cr = false;
}

/* 1 at the end of a line, CRLF; 0 in it. */
static int end_of_line(struct framing *f, char c, struct err *err)
{
    if (f->cr && c == '\n')
        return 1;
    if (f->cr || c != '\r')
        return bad_chunk(err);
    f->cr = true;
    return 0;
}

/* Blanks, then an extension or the line's end. */
static int take_blank(struct framing *f, char c, struct err *err)
{
    if (!f->cr && (c == ' ' || c == '\t' || c == ';')) {
        f->place = c == ';' ? FRAMING_EXTENSION : FRAMING_BLANK;
        return 0;
    }
    int rc = end_of_line(f, c, err);
    if (rc > 0)
        enter_chunk(f);
    return rc < 0 ? rc : 0;
}

static int take_size(struct framing *f, char c, struct err *err)
{
    int digit = hex(c);
    if (digit >= 0 && !f->cr) {
        if (f->left >> (MAX_SIZE_BITS - 4))
            return err_set(err, ERR_TOO_LARGE, "a chunk's size is beyond any limit");
        f->left = f->left << 4 | (unsigned)digit;
        return 0;
    }
    if (f->line == 1) /* no digit at all */
        return bad_chunk(err);
    return take_blank(f, c, err);
}

static int take_extension(struct framing *f, char c, struct err *err)
{
    if (f->cr && c == '\n') {
        enter_chunk(f);
        return 0;
    }
    if (f->cr || (unsigned char)c == 0x7f ||
        ((unsigned char)c < 0x20 && c != '\t' && c != '\r'))
        return bad_chunk(err);
    f->cr = c == '\r';
    return 0;
}

static int take_chunk_end(struct framing *f, char c, struct err *err)
{
    int rc = end_of_line(f, c, err);
    if (rc > 0) {
        f->place = FRAMING_SIZE;
        f->line = 0;
        f->cr = false;
    }
    return rc < 0 ? rc : 0;
}

/* Trailers are dropped; an empty line ends them and the body. */
static int take_trailer(struct framing *f, char c, struct err *err)
{
    if (c == '\n') {
        if (f->column == 0)
            f->place = FRAMING_DONE;
        f->column = 0;
        f->cr = false;
        return 0;
    }
    if (f->cr)
        return bad_chunk(err);
    f->cr = c == '\r';
    f->column += c != '\r';
    return 0;
}

static int take(struct framing *f, char c, struct err *err)
{
    f->line++;
    if (f->place == FRAMING_TRAILERS) {
        if (f->line > MAX_TRAILERS)
            return err_set(err, ERR_HEADERS, "the trailers have more than %d bytes",
                           MAX_TRAILERS);
        return take_trailer(f, c, err);
    }
    if (f->line > MAX_CHUNK_LINE)
        return err_set(err, ERR_ARGUMENT, "a chunk's line has more than %d bytes",
                       MAX_CHUNK_LINE);
    switch (f->place) {
    case FRAMING_SIZE:
        return take_size(f, c, err);
    case FRAMING_BLANK:
        return take_blank(f, c, err);
    case FRAMING_EXTENSION:
        return take_extension(f, c, err);
    default:
        return take_chunk_end(f, c, err);
    }
}

ssize_t framing_read(struct framing *f, const char *data, size_t len, struct err *err)
{
    size_t i = 0;
    while (i < len && f->place != FRAMING_CONTENT && f->place != FRAMING_DONE) {
        int rc = take(f, data[i++], err);
        if (rc)
            return rc;
    }
    return (ssize_t)i;
}

size_t framing_content(const struct framing *f, size_t len)
{
    if (f->place != FRAMING_CONTENT)
        return 0;
    return f->left < len ? (size_t)f->left : len;
}

void framing_took(struct framing *f, size_t bytes)
{
    f->left -= bytes;
    if (f->left > 0)
        return;
    f->place = f->chunked ? FRAMING_CHUNK_END : FRAMING_DONE;
    f->line = 0;
    f->cr = false;
}
