/* Scanning, the request line, header lines, and what they say of the body.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/head.h"

#include "engine/base/mem.h"

#include <string.h>
#include <strings.h>

enum { MAX_HEADERS = 256, LINE_SPARE = 64, VERSION_BYTES = 8 };

static bool token_char(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

/* ---- finding the end -------------------------------------------------------- */

static int uri_too_long(size_t limit, struct err *err)
{
    return err_set(err, ERR_URI, "the URI has more than %zu bytes", limit);
}

static int headers_too_large(size_t limit, struct err *err)
{
    return err_set(err, ERR_HEADERS, "the header block has more than %zu bytes", limit);
}

/* The request line, or all headers, with the bytes up to `end`. */
static int check_size(const struct head_scan *s, const struct head_limits *limits,
                      size_t end, struct err *err)
{
    if (s->headers)
        return end - s->headers <= limits->headers
                   ? 0
                   : headers_too_large(limits->headers, err);
    return end <= limits->target + LINE_SPARE ? 0 : uri_too_long(limits->target, err);
}

/* A line has ended at `end`, its line feed. True: the head ends with it. */
static bool end_line(struct head_scan *s, const char *data, size_t end)
{
    size_t len = end - s->line;
    bool empty = len == 0 || (len == 1 && data[s->line] == '\r');
    s->line = s->at = end + 1;
    if (s->headers)
        return empty;
    s->headers = end + 1;
    return false;
}

ssize_t head_find(struct head_scan *s, const struct head_limits *limits, const char *data,
                  size_t len, struct err *err)
{
    if (len > 0 && !token_char((unsigned char)data[0]))
        return err_set(err, ERR_ARGUMENT, "this is no HTTP/1.1 request");
    while (s->at < len) {
        const char *lf = memchr(data + s->at, '\n', len - s->at);
        size_t end = lf ? (size_t)(lf - data) : len;
        int rc = check_size(s, limits, end, err);
        if (rc)
            return rc;
        if (lf && end_line(s, data, end))
            return (ssize_t)s->at;
        if (!lf)
            s->at = len;
    }
    return 0;
}

/* ---- lines ------------------------------------------------------------------ */

static bool is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!token_char((unsigned char)s[i]))
            return false;
    return len > 0;
}

static bool printable(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] == 0x7f)
            return false;
    return len > 0;
}

/* Cuts the next line off [*p, end) and ends it with a NUL in place of its line end. */
static char *next_line(char **p, char *end, size_t *len)
{
    char *line = *p, *lf = memchr(line, '\n', (size_t)(end - line));
    *p = lf + 1;
    *len = (size_t)(lf - line);
    if (*len > 0 && line[*len - 1] == '\r')
        --*len;
    line[*len] = '\0';
    return line;
}

static int parse_line(struct head *h, char *line, size_t len, struct err *err)
{
    char *sp = memchr(line, ' ', len), *end = line + len;
    char *target = sp ? sp + 1 : end;
    char *sp2 = memchr(target, ' ', (size_t)(end - target));
    char *version = sp2 ? sp2 + 1 : end;
    bool whole = end - version == VERSION_BYTES && memcmp(version, "HTTP/1.", 7) == 0 &&
                 (version[7] == '0' || version[7] == '1');
    if (!whole || !is_token(line, (size_t)(sp - line)) ||
        !printable(target, (size_t)(sp2 - target)))
        return err_set(err, ERR_ARGUMENT,
                       "the request line is not METHOD target HTTP/1.x");
    *sp = *sp2 = '\0';
    h->method = line;
    h->target = target;
    h->target_len = (size_t)(sp2 - target);
    h->minor = version[7] - '0';
    return 0;
}

static bool plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static int parse_header(struct http_header *h, char *line, size_t len, struct err *err)
{
    char *colon = memchr(line, ':', len), *end = line + len;
    if (!colon || !is_token(line, (size_t)(colon - line)))
        return err_set(err, ERR_ARGUMENT, "a header is not \"Name: value\" on one line");
    char *value = colon + 1;
    while (value < end && blank(*value))
        value++;
    while (end > value && blank(end[-1]))
        end--;
    if (!plain(value, (size_t)(end - value)))
        return err_set(err, ERR_ARGUMENT, "a header's value has a control character");
    *colon = *end = '\0';
    *h = (struct http_header){line, value, (size_t)(colon - line), (size_t)(end - value)};
    return 0;
}

/* ---- what headers say of the body and the connection ------------------------ */

static int parse_length(const struct http_header *h, uint64_t *n, struct err *err)
{
    *n = 0;
    for (size_t i = 0; i < h->value_len; i++) {
        unsigned digit = (unsigned)(h->value[i] - '0');
        if (digit > 9)
            break;
        if (*n > (UINT64_MAX - digit) / 10)
            return err_set(err, ERR_TOO_LARGE, "Content-Length is beyond any limit");
        *n = *n * 10 + digit;
    }
    if (h->value_len == 0 || strspn(h->value, "0123456789") != h->value_len)
        return err_set(err, ERR_ARGUMENT, "Content-Length is not one decimal number");
    return 0;
}

static bool named(const struct http_header *h, const char *name)
{
    return strcasecmp(h->name, name) == 0;
}

/* True when the comma-separated list has the word. */
static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; *p;) {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, " \t,");
        if (len == n && strncasecmp(p, word, n) == 0)
            return true;
        p += len;
    }
    return false;
}

struct seen {
    int lengths, codings, hosts;
    bool close, keep;
};

static int read_header(struct head *h, const struct http_header *x, struct seen *seen,
                       struct err *err)
{
    if (named(x, "connection")) {
        seen->close = seen->close || has_word(x->value, "close");
        seen->keep = seen->keep || has_word(x->value, "keep-alive");
    } else if (named(x, "expect")) {
        h->expects_continue = h->minor > 0 && strcasecmp(x->value, "100-continue") == 0;
    } else if (named(x, "host")) {
        seen->hosts++;
    } else if (named(x, "content-length")) {
        seen->lengths++;
        return parse_length(x, &h->content_length, err);
    } else if (named(x, "transfer-encoding")) {
        seen->codings++;
        h->chunked = true;
        if (strcasecmp(x->value, "chunked") != 0)
            return err_set(err, ERR_ARGUMENT, "Transfer-Encoding may only be chunked");
    }
    return 0;
}

static int check_seen(struct head *h, const struct seen *seen, struct err *err)
{
    if (seen->lengths > 1)
        return err_set(err, ERR_ARGUMENT, "more than one Content-Length");
    if (seen->codings > 1)
        return err_set(err, ERR_ARGUMENT, "more than one Transfer-Encoding");
    if (seen->lengths && seen->codings)
        return err_set(err, ERR_ARGUMENT, "Content-Length beside Transfer-Encoding");
    if (h->minor == 0 && seen->codings)
        return err_set(err, ERR_ARGUMENT, "HTTP/1.0 has no Transfer-Encoding");
    if (seen->hosts > 1)
        return err_set(err, ERR_ARGUMENT, "more than one Host");
    if (h->minor > 0 && !seen->hosts)
        return err_set(err, ERR_ARGUMENT, "there is no Host header");
    h->keep_alive = !seen->close && (h->minor > 0 || seen->keep);
    return 0;
}

/* ---- the whole -------------------------------------------------------------- */

size_t head_bytes(size_t len, size_t n_headers)
{
    size_t align = sizeof(struct http_header);
    return (len + align - 1) / align * align + n_headers * align;
}

static int parse_headers(struct head *h, char *p, char *end, struct err *err)
{
    struct http_header *x = h->headers;
    struct seen seen = {0};
    size_t len;
    for (char *line = next_line(&p, end, &len); len > 0;
         line = next_line(&p, end, &len)) {
        int rc = parse_header(x, line, len, err);
        if (rc == 0)
            rc = read_header(h, x, &seen, err);
        if (rc)
            return rc;
        x++;
        h->n_headers++;
    }
    return check_seen(h, &seen, err);
}

static size_t count_lines(const char *data, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += data[i] == '\n';
    return n;
}

static int parse(struct head *h, const struct head_limits *limits, size_t len,
                 struct err *err)
{
    char *p = h->bytes, *end = p + len;
    size_t line_len;
    char *line = next_line(&p, end, &line_len);
    int rc = parse_line(h, line, line_len, err);
    if (rc)
        return rc;
    if (h->target_len > limits->target)
        return uri_too_long(limits->target, err);
    return parse_headers(h, p, end, err);
}

int head_parse(struct head *out, const struct head_limits *limits, const char *data,
               size_t len, struct err *err)
{
    *out = (struct head){0};
    size_t lines = count_lines(data, len);
    if (lines > MAX_HEADERS)
        return err_set(err, ERR_HEADERS, "there are more than %d headers", MAX_HEADERS);
    char *bytes = mem_alloc(head_bytes(len, lines));
    if (!bytes)
        return err_set(err, ERR_MEMORY, "out of memory for a request's head");
    memcpy(bytes, data, len);
    out->bytes = bytes;
    out->headers = (void *)(bytes + head_bytes(len, 0));
    int rc = parse(out, limits, len, err);
    if (rc)
        head_free(out);
    return rc;
}

void head_free(struct head *head)
{
    mem_free(head->bytes);
    *head = (struct head){0};
}

const struct http_header *head_header(const struct head *head, const char *name)
{
    for (size_t i = 0; i < head->n_headers; i++)
        if (named(&head->headers[i], name))
            return &head->headers[i];
    return NULL;
}

/* ---- targets ---------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ssize_t head_unescape(const char *from, size_t len, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c == '%') {
            if (i + 2 >= len || hex(from[i + 1]) < 0 || hex(from[i + 2]) < 0)
                return -1;
            c = (unsigned char)(hex(from[i + 1]) * 16 + hex(from[i + 2]));
            i += 2;
        }
        if (c < 0x20 || c == 0x7f)
            return -1;
        to[n++] = (char)c;
    }
    return (ssize_t)n;
}
