/*
 * Heads of requests. However the bytes are cut, the verdict is that of one piece; what is
 * accepted and what is refused agrees with a second reader, written here by lines, and
 * what a parsed head says holds for its bytes. The first four bytes are the limits and
 * the cuts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "server/http/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTIONS = 4, LINE_SPARE = 64, MOST_LINES = 256 };

/* Ends the run by name when an invariant does not hold. */
#define must(holds)                                                                      \
    ((holds) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #holds), abort()))

/* ---- cuts ------------------------------------------------------------------- */

/* head_find over pieces of 1 to `most` bytes; each prefix has a block of its own. */
static ssize_t find(const struct head_limits *l, const char *data, size_t len,
                    size_t most, unsigned seed, struct err *err)
{
    struct head_scan scan = {0};
    ssize_t n = 0;
    for (size_t at = 0; n == 0 && at < len;) {
        seed = seed * 1103515245u + 12345u;
        size_t piece = 1 + (seed >> 16) % most;
        at = piece < len - at ? at + piece : len;
        char *prefix = mem_alloc(at);
        memcpy(prefix, data, at);
        n = head_find(&scan, l, prefix, at, err);
        mem_free(prefix);
    }
    return n;
}

/* ---- a second reader -------------------------------------------------------- */

static bool token(const char *s, size_t n)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i], letter = c | 32;
        if (!(c >= '0' && c <= '9') && !(letter >= 'a' && letter <= 'z') &&
            !memchr(marks, c, sizeof marks - 1))
            return false;
    }
    return n > 0;
}

static bool visible(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x21 || s[i] == 0x7f)
            return false;
    return n > 0;
}

static bool first_line(const char *s, size_t n)
{
    if (n < 12 ||
        (memcmp(s + n - 9, " HTTP/1.0", 9) && memcmp(s + n - 9, " HTTP/1.1", 9)))
        return false;
    const char *sp = memchr(s, ' ', n - 9);
    return sp && token(s, (size_t)(sp - s)) &&
           visible(sp + 1, n - 9 - (size_t)(sp + 1 - s));
}

struct said {
    int lengths, codings, hosts;
    bool bad, huge;
};

static bool name_is(const char *s, size_t n, const char *name)
{
    return n == strlen(name) && strncasecmp(s, name, n) == 0;
}

static void read_length(struct said *said, const char *v, size_t n)
{
    unsigned long long x = 0;
    bool digits = n > 0, huge = false;
    for (size_t i = 0; i < n && digits; i++) {
        digits = v[i] >= '0' && v[i] <= '9';
        huge = huge || (digits && (__builtin_mul_overflow(x, 10ull, &x) ||
                                   __builtin_add_overflow(x, v[i] - '0', &x)));
    }
    said->lengths++;
    said->huge = said->huge || huge;
    said->bad = said->bad || !digits;
}

static void other_line(struct said *said, const char *s, size_t n)
{
    const char *colon = memchr(s, ':', n);
    size_t name = colon ? (size_t)(colon - s) : 0;
    if (!token(s, name)) {
        said->bad = true;
        return;
    }
    const char *v = colon + 1;
    n -= name + 1;
    for (; n > 0 && (*v == ' ' || *v == '\t'); n--)
        v++;
    while (n > 0 && (v[n - 1] == ' ' || v[n - 1] == '\t'))
        n--;
    for (size_t i = 0; i < n; i++)
        said->bad |= (v[i] >= 0 && v[i] < ' ' && v[i] != '\t') || v[i] == 0x7f;
    if (name_is(s, name, "content-length"))
        read_length(said, v, n);
    said->codings += name_is(s, name, "transfer-encoding");
    said->hosts += name_is(s, name, "host");
    said->bad |= name_is(s, name, "transfer-encoding") && !name_is(v, n, "chunked");
}

/* True when the whole head of len bytes is to be accepted, the limits left aside. */
static bool good(const char *data, size_t len)
{
    struct said said = {0};
    bool first = true, old = false;
    for (const char *s = data; s < data + len;) {
        const char *lf = memchr(s, '\n', (size_t)(data + len - s));
        size_t n = (size_t)(lf - s);
        n -= n > 0 && s[n - 1] == '\r';
        if (first && !first_line(s, n))
            return false;
        old = first ? s[n - 1] == '0' : old;
        if (!first && n > 0)
            other_line(&said, s, n);
        first = false;
        s = lf + 1;
    }
    return !said.bad && !said.huge && said.hosts <= 1 && (old || said.hosts == 1) &&
           said.lengths + said.codings <= 1 && !(old && said.codings);
}

/* ---- what a parsed head says ------------------------------------------------- */

static bool listed(const char *list, const char *word)
{
    char copy[8192], *save = NULL;
    must(strlen(list) < sizeof copy);
    strcpy(copy, list);
    for (char *w = strtok_r(copy, " \t,", &save); w; w = strtok_r(NULL, " \t,", &save))
        if (strcasecmp(w, word) == 0)
            return true;
    return false;
}

static void inside(const struct head *h, size_t len, const char *s, size_t n)
{
    must(s >= h->bytes && s + n < h->bytes + len && s[n] == '\0' && strlen(s) == n);
}

static void check_body(const struct head *h)
{
    const struct http_header *length = head_header(h, "CONTENT-length");
    const struct http_header *coding = head_header(h, "transfer-ENCODING");
    must(!length || !coding);
    must(h->chunked == (coding != NULL));
    must(h->content_length == (length ? strtoull(length->value, NULL, 10) : 0));
}

static void check_head(const struct head *h, size_t len)
{
    bool close = false, keep = false;
    for (size_t i = 0; i < h->n_headers; i++) {
        const struct http_header *x = &h->headers[i];
        inside(h, len, x->name, x->name_len);
        inside(h, len, x->value, x->value_len);
        must(token(x->name, x->name_len));
        bool connection = strcasecmp(x->name, "connection") == 0;
        close = close || (connection && listed(x->value, "close"));
        keep = keep || (connection && listed(x->value, "keep-alive"));
    }
    inside(h, len, h->method, strlen(h->method));
    inside(h, len, h->target, h->target_len);
    must(token(h->method, strlen(h->method)) && visible(h->target, h->target_len));
    must(h->keep_alive == (!close && (h->minor == 1 || keep)));
    must(!h->expects_continue || (h->minor == 1 && head_header(h, "expect")));
    must((h->minor == 0 && !h->chunked) || head_header(h, "host"));
    check_body(h);
}

static void check_target(const struct head *h)
{
    char *to = mem_alloc(h->target_len);
    ssize_t n = head_unescape(h->target, h->target_len, to);
    must(n <= (ssize_t)h->target_len);
    for (ssize_t i = 0; i < n; i++)
        must((unsigned char)to[i] >= 0x20 && to[i] != 0x7f);
    must(n >= 0 || strchr(h->target, '%'));
    mem_free(to);
}

static size_t count(const char *data, size_t len, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += data[i] == c;
    return n;
}

static void parse(const struct head_limits *l, const char *data, size_t len)
{
    struct head h;
    struct err err = {0};
    int rc = head_parse(&h, l, data, len, &err);
    if (rc == 0) {
        must(h.target_len <= l->target && h.n_headers + 2 == count(data, len, '\n'));
        check_head(&h, len);
        check_target(&h);
    }
    bool limited = err.code == ERR_URI || err.code == ERR_HEADERS;
    must(rc == -(int)err.code && (rc == 0) == (h.bytes != NULL));
    must(rc == 0 || err.text[0]);
    must(limited || (rc == 0) == good(data, len));
    must(err.code != ERR_HEADERS || count(data, len, '\n') > MOST_LINES);
    head_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < OPTIONS)
        return 0;
    const char *text = (const char *)data + OPTIONS;
    size_t len = size - OPTIONS;
    struct head_limits l = {.target = data[0] * 4u, .headers = data[1] * 16u};
    struct err whole = {0}, cut = {0}, bytes = {0};
    ssize_t n = find(&l, text, len, 1, 0, &bytes);
    struct head_scan scan = {0};
    must(head_find(&scan, &l, text, len, &whole) == n && whole.code == bytes.code);
    must(find(&l, text, len, 1 + data[2], data[3], &cut) == n && cut.code == bytes.code);
    must(strcmp(whole.text, bytes.text) == 0 && strcmp(cut.text, bytes.text) == 0);
    must(n <= (ssize_t)len);
    if (n > 0)
        parse(&l, text, (size_t)n);
    return 0;
}
