/* A step for each part; a step that cannot go on waits for more bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/http_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HEAD_BYTES = 16 << 10, BODY_BYTES = 64 << 20, SIZE_DIGITS = 8 };

void http_reader_free(struct http_reader *r)
{
    buf_free(&r->body);
    buf_free(&r->raw);
    *r = (struct http_reader){0};
}

static int no_http(struct err *err)
{
    return err_set(err, ERR_FORMAT, "the answer is no HTTP");
}

/* The next line of raw, without its end, as text: false while it is not whole. */
static bool next_line(struct http_reader *r, char *line, size_t cap)
{
    const char *end = r->raw.len ? memchr(r->raw.data, '\n', r->raw.len) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - r->raw.data);
    size_t text = len && end[-1] == '\r' ? len - 1 : len;
    snprintf(line, cap, "%.*s", (int)text, r->raw.data);
    buf_drop(&r->raw, len + 1);
    return true;
}

/* ---- the head ---------------------------------------------------------------- */

static int read_status(struct http_reader *r, const char *line, struct err *err)
{
    int status;
    if (sscanf(line, "HTTP/1.%*1d %3d", &status) != 1 || status < 100)
        return no_http(err);
    r->status = status;
    r->part = HTTP_READER_REST;
    return 0;
}

static const char *value_of(const char *line, const char *name)
{
    size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    return line + len + 1 + strspn(line + len + 1, " \t");
}

static int read_length(struct http_reader *r, const char *text, struct err *err)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits])
        return no_http(err);
    r->part = HTTP_READER_LENGTH;
    return sscanf(text, "%" SCNu64, &r->left) == 1 ? 0 : no_http(err);
}

static int read_header(struct http_reader *r, const char *line, struct err *err)
{
    const char *coding = value_of(line, "Transfer-Encoding");
    const char *length = value_of(line, "Content-Length");
    if (coding && strcasecmp(coding, "chunked") != 0)
        return no_http(err);
    if (coding)
        r->part = HTTP_READER_SIZE;
    return length && r->part == HTTP_READER_REST ? read_length(r, length, err) : 0;
}

/* An interim answer (100 Continue) is followed by the true one. */
static void end_head(struct http_reader *r)
{
    bool bare = r->no_body || r->status == 204 || r->status == 304;
    if (r->status < 200)
        r->part = HTTP_READER_HEAD;
    else if (bare || (r->part == HTTP_READER_LENGTH && r->left == 0))
        r->part = HTTP_READER_DONE;
}

/* Whether all of the head has come: an empty line ends it. */
static bool whole_head(const struct buf *raw)
{
    return raw->len && (memmem(raw->data, raw->len, "\n\r\n", 3) ||
                        memmem(raw->data, raw->len, "\n\n", 2));
}

static int read_head(struct http_reader *r, bool *more, struct err *err)
{
    char line[HEAD_BYTES];
    size_t start = r->raw.len < 7 ? r->raw.len : 7;
    *more = false;
    if (start && memcmp(r->raw.data, "HTTP/1.", start) != 0)
        return no_http(err);
    if (!whole_head(&r->raw))
        return r->raw.len > HEAD_BYTES ? no_http(err) : 0;
    *more = next_line(r, line, sizeof line);
    int rc = read_status(r, line, err);
    while (!rc && next_line(r, line, sizeof line) && line[0])
        rc = read_header(r, line, err);
    if (!rc)
        end_head(r);
    return rc;
}

/* ---- the body ---------------------------------------------------------------- */

static int read_size(struct http_reader *r, bool *more, struct err *err)
{
    char line[256];
    unsigned size;
    *more = next_line(r, line, sizeof line);
    if (!*more)
        return r->raw.len > sizeof line ? no_http(err) : 0;
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    bool good = digits && digits <= SIZE_DIGITS && strchr("; \t", line[digits]);
    if (!good || sscanf(line, "%x", &size) != 1)
        return no_http(err);
    r->left = size;
    r->part = size ? HTTP_READER_CHUNK : HTTP_READER_TRAILER;
    return 0;
}

static int read_break(struct http_reader *r, bool *more, struct err *err)
{
    char line[4];
    *more = next_line(r, line, sizeof line);
    if (*more ? line[0] != '\0' : r->raw.len > 1)
        return no_http(err);
    if (*more)
        r->part = HTTP_READER_SIZE;
    return 0;
}

static int read_trailer(struct http_reader *r, bool *more, struct err *err)
{
    char line[HEAD_BYTES];
    *more = next_line(r, line, sizeof line);
    if (*more && !line[0])
        r->part = HTTP_READER_DONE;
    return r->raw.len > HEAD_BYTES ? no_http(err) : 0;
}

/* Bytes of the body, as many as there are and belong to it. */
static int read_bytes(struct http_reader *r, bool *more, struct err *err)
{
    bool rest = r->part == HTTP_READER_REST;
    size_t n = !rest && r->left < r->raw.len ? (size_t)r->left : r->raw.len;
    *more = n > 0;
    if (n == 0)
        return 0;
    if (r->body.len + n > BODY_BYTES)
        return err_set(err, ERR_TOO_LARGE, "the answer has more than %d bytes",
                       (int)BODY_BYTES);
    buf_put(&r->body, r->raw.data, n);
    buf_drop(&r->raw, n);
    if (!rest)
        r->left -= n;
    if (!rest && r->left == 0)
        r->part = r->part == HTTP_READER_CHUNK ? HTTP_READER_BREAK : HTTP_READER_DONE;
    return 0;
}

static int skip(struct http_reader *r, bool *more, struct err *err)
{
    (void)err;
    buf_reset(&r->raw);
    *more = false;
    return 0;
}

int http_reader_put(struct http_reader *r, const char *data, size_t len, struct err *err)
{
    typedef int step_fn(struct http_reader *, bool *, struct err *);
    static step_fn *const steps[] = {
        [HTTP_READER_HEAD] = read_head,       [HTTP_READER_LENGTH] = read_bytes,
        [HTTP_READER_REST] = read_bytes,      [HTTP_READER_SIZE] = read_size,
        [HTTP_READER_CHUNK] = read_bytes,     [HTTP_READER_BREAK] = read_break,
        [HTTP_READER_TRAILER] = read_trailer, [HTTP_READER_DONE] = skip,
    };
    bool more = true;
    int rc = 0;
    buf_put(&r->raw, data, len);
    while (more && !rc)
        rc = steps[r->part](r, &more, err);
    if (!rc && (r->raw.failed || r->body.failed))
        rc = err_set(err, ERR_MEMORY, "out of memory for an answer");
    return rc;
}

int http_reader_end(struct http_reader *r, struct err *err)
{
    if (r->part == HTTP_READER_REST)
        r->part = HTTP_READER_DONE;
    return r->part == HTTP_READER_DONE
               ? 0
               : err_set(err, ERR_IO, "the connection ended before the answer");
}

bool http_reader_line(struct http_reader *r, const char **line, size_t *len)
{
    buf_drop(&r->body, r->taken);
    r->taken = 0;
    const char *end = r->body.len ? memchr(r->body.data, '\n', r->body.len) : NULL;
    if (!end)
        return false;
    *line = r->body.data;
    *len = (size_t)(end - r->body.data);
    r->taken = *len + 1;
    if (*len && end[-1] == '\r')
        --*len;
    return true;
}
