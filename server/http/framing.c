/* Header checks and percent-decoding. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/framing.h"

#include <string.h>
#include <strings.h>

static bool token_char(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(const struct http_header *h)
{
    for (size_t i = 0; i < h->name_len; i++)
        if (!token_char((unsigned char)h->name[i]))
            return false;
    return h->name_len > 0;
}

static bool plain_value(const struct http_header *h)
{
    for (size_t i = 0; i < h->value_len; i++) {
        unsigned char c = (unsigned char)h->value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool named(const struct http_header *h, const char *name)
{
    return h->name_len == strlen(name) && strncasecmp(h->name, name, h->name_len) == 0;
}

/* The library ends values at the first NUL. A header's bytes and what follows are apart
 * by its line end (one or two bytes, zeroed by the library), before the block's end by
 * two of them; more, or anything else in between, was hidden behind a NUL. */
static bool hides_bytes(const struct http_header *h, const char *next, int max_gap)
{
    const char *stop = h->value + h->value_len;
    const char *p = stop;
    while (p < next && *p == '\0')
        p++;
    return p != next || next - stop > max_gap;
}

struct seen {
    int lengths, codings, hosts;
};

static int check_one(const struct http_header *h, struct seen *seen, struct err *err)
{
    if (!is_token(h))
        return err_set(err, ERR_ARGUMENT, "a header's name is not a token");
    if (!plain_value(h))
        return err_set(err, ERR_ARGUMENT, "a header's value has a control character");
    seen->hosts += named(h, "host");
    seen->lengths += named(h, "content-length");
    if (!named(h, "transfer-encoding"))
        return 0;
    seen->codings++;
    if (h->value_len != 7 || strncasecmp(h->value, "chunked", 7) != 0)
        return err_set(err, ERR_ARGUMENT, "Transfer-Encoding may only be chunked");
    return 0;
}

int framing_check(const struct http_header *headers, size_t n, const char *end,
                  struct err *err)
{
    struct seen seen = {0};
    for (size_t i = 0; i < n; i++) {
        int rc = check_one(&headers[i], &seen, err);
        if (rc)
            return rc;
        bool last = i + 1 == n;
        const char *next = last ? end : headers[i + 1].name;
        if (end && hides_bytes(&headers[i], next, last ? 4 : 2))
            return err_set(err, ERR_ARGUMENT, "a header has a NUL or a folded line");
    }
    if (seen.lengths > 1)
        return err_set(err, ERR_ARGUMENT, "more than one Content-Length");
    if (seen.codings > 1)
        return err_set(err, ERR_ARGUMENT, "more than one Transfer-Encoding");
    if (seen.hosts > 1)
        return err_set(err, ERR_ARGUMENT, "more than one Host");
    if (seen.lengths && seen.codings)
        return err_set(err, ERR_ARGUMENT, "Content-Length beside Transfer-Encoding");
    return 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ssize_t framing_unescape(const char *from, size_t len, char *to)
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
