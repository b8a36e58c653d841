/* Reading, printing and matching addresses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/address.h"

#include "engine/base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { MAPPED_BYTES = 12, MAPPED_BITS = 96, ADDRESS_BITS = 128 };

static const unsigned char mapped[MAPPED_BYTES] = {[10] = 0xff, [11] = 0xff};

static void put_v4(struct address *out, const struct in_addr *v4)
{
    memcpy(out->bytes, mapped, MAPPED_BYTES);
    memcpy(out->bytes + MAPPED_BYTES, v4, sizeof *v4);
}

static bool is_v4(const struct address *a)
{
    return memcmp(a->bytes, mapped, MAPPED_BYTES) == 0;
}

bool address_of_peer(struct address *out, int fd)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    *out = (struct address){0};
    if (getpeername(fd, (struct sockaddr *)&peer, &len))
        return false;
    if (peer.ss_family == AF_INET)
        put_v4(out, &((struct sockaddr_in *)&peer)->sin_addr);
    else if (peer.ss_family == AF_INET6)
        memcpy(out->bytes, &((struct sockaddr_in6 *)&peer)->sin6_addr, ADDRESS_BYTES);
    return peer.ss_family == AF_INET || peer.ss_family == AF_INET6;
}

/* ---- text ------------------------------------------------------------------- */

/* Reads an address and nothing else. */
static bool parse_bare(struct address *out, const char *text, size_t len)
{
    char copy[ADDRESS_TEXT];
    struct in_addr v4;
    struct in6_addr v6;
    if (len >= sizeof copy || memchr(text, '\0', len))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        put_v4(out, &v4);
        return true;
    }
    if (inet_pton(AF_INET6, copy, &v6) != 1)
        return false;
    memcpy(out->bytes, &v6, ADDRESS_BYTES);
    return true;
}

/* True for "" and for ":" before one to five digits. */
static bool is_port(const char *text, size_t len)
{
    size_t digits = 0;
    while (digits + 1 < len && text[digits + 1] >= '0' && text[digits + 1] <= '9')
        digits++;
    return len == 0 ||
           (text[0] == ':' && digits + 1 == len && digits >= 1 && digits <= 5);
}

/* Bytes of text before the first `stop`, or len. */
static size_t span(const char *text, size_t len, char stop)
{
    const char *at = memchr(text, stop, len);
    return at ? (size_t)(at - text) : len;
}

bool address_parse(struct address *out, const char *text, size_t len)
{
    size_t end;
    if (len > 0 && text[0] == '[') {
        end = span(text, len, ']');
        return end < len && is_port(text + end + 1, len - end - 1) &&
               parse_bare(out, text + 1, span(text + 1, end - 1, '%'));
    }
    end = span(text, len, ':');
    bool one_colon = end < len && !memchr(text + end + 1, ':', len - end - 1);
    if (one_colon)
        return is_port(text + end, len - end) && parse_bare(out, text, end);
    return parse_bare(out, text, span(text, len, '%'));
}

void address_print(const struct address *a, char out[ADDRESS_TEXT])
{
    if (is_v4(a))
        inet_ntop(AF_INET, a->bytes + MAPPED_BYTES, out, ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, a->bytes, out, ADDRESS_TEXT);
}

bool address_same(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, ADDRESS_BYTES) == 0;
}

/* ---- ranges ----------------------------------------------------------------- */

/* The number after the slash, at most `most`; -1 for anything else. */
static int parse_bits(const char *text, unsigned most)
{
    unsigned bits = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 3 || strspn(text, "0123456789") != len)
        return -1;
    for (; *text; text++)
        bits = bits * 10 + (unsigned)(*text - '0');
    return bits <= most ? (int)bits : -1;
}

int address_range_parse(struct address_range *out, const char *text, struct err *err)
{
    size_t len = strcspn(text, "/");
    bool good = parse_bare(&out->first, text, len);
    bool v4 = good && !memchr(text, ':', len);
    int bits = v4 ? ADDRESS_BITS - MAPPED_BITS : ADDRESS_BITS;
    if (good && text[len])
        bits = parse_bits(text + len + 1, (unsigned)bits);
    if (!good || bits < 0)
        return err_set(err, ERR_ARGUMENT,
                       "expected an address or a prefix such as 10.0.0.0/8 or fd00::/8, "
                       "found \"%.60s\"",
                       text);
    out->bits = (unsigned)bits + (v4 ? MAPPED_BITS : 0);
    return 0;
}

static bool in_range(const struct address_range *r, const struct address *a)
{
    unsigned whole = r->bits / 8, rest = r->bits % 8;
    if (memcmp(r->first.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || ((r->first.bytes[whole] ^ a->bytes[whole]) >> (8 - rest)) == 0;
}

int address_list_parse(struct address_list *out, const char *const *texts, size_t n,
                       struct err *err)
{
    *out = (struct address_list){.ranges = n ? mem_alloc(n * sizeof *out->ranges) : NULL};
    if (n && !out->ranges)
        return err_set(err, ERR_MEMORY, "out of memory");
    for (; out->n < n; out->n++) {
        int rc = address_range_parse(&out->ranges[out->n], texts[out->n], err);
        if (rc)
            return rc;
    }
    return 0;
}

void address_list_free(struct address_list *list)
{
    mem_free(list->ranges);
    *list = (struct address_list){0};
}

bool address_list_holds(const struct address_list *list, const struct address *a)
{
    for (size_t i = 0; i < list->n; i++)
        if (in_range(&list->ranges[i], a))
            return true;
    return false;
}

/* ---- forwarded -------------------------------------------------------------- */

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

bool address_forwarded(struct address *client, const struct address_list *trusted,
                       const char *value, size_t len)
{
    while (len > 0 && address_list_holds(trusted, client)) {
        size_t end = len;
        while (len > 0 && value[len - 1] != ',')
            len--;
        size_t from = len;
        while (from < end && blank(value[from]))
            from++;
        while (end > from && blank(value[end - 1]))
            end--;
        if (end > from && !address_parse(client, value + from, end - from))
            return true;
        len -= len > 0; /* the comma */
    }
    return !address_list_holds(trusted, client);
}
