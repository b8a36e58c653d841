/*
 * Addresses, ranges and X-Forwarded-For. What is read as an address is what inet_pton
 * reads once port, brackets and zone are gone; it is the same again after printing. A
 * range holds what shares its leading bits, counted one by one, and a forwarded address
 * is the one that a walk over the split value finds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "server/http/address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TEXT = 512 };

/* Ends the run by name when an invariant does not hold. */
#define must(holds)                                                                      \
    ((holds) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #holds), abort()))

/* ---- one address ------------------------------------------------------------- */

static bool plain(struct address *a, const char *text)
{
    struct in_addr v4;
    if (inet_pton(AF_INET6, text, a->bytes) == 1)
        return true;
    if (inet_pton(AF_INET, text, &v4) != 1)
        return false;
    *a = (struct address){.bytes = {[10] = 0xff, [11] = 0xff}};
    memcpy(a->bytes + 12, &v4, 4);
    return true;
}

/* True for ":" and one to five digits. */
static bool port(const char *text)
{
    size_t digits = strspn(text + 1, "0123456789");
    return text[0] == ':' && digits >= 1 && digits <= 5 && text[1 + digits] == '\0';
}

/* What address_parse should say of a text without NUL bytes. */
static bool expected(struct address *a, const char *from)
{
    char text[MOST_TEXT + 1];
    strcpy(text, from);
    char *open = text, *end;
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] && !port(end + 1)))
            return false;
        *end = '\0';
        open++;
    } else if ((end = strchr(text, ':')) && !strchr(end + 1, ':')) {
        bool ends = port(end);
        *end = '\0';
        return ends && plain(a, text);
    }
    if ((end = strchr(open, '%')))
        *end = '\0';
    return plain(a, open);
}

static void check_parse(const char *text, size_t len)
{
    struct address a = {{1}}, b = {{1}}, again;
    char printed[ADDRESS_TEXT];
    bool ok = address_parse(&a, text, len);
    must(ok == expected(&b, text) && (!ok || address_same(&a, &b)));
    if (!ok) {
        must(a.bytes[0] == 1 && a.bytes[15] == 0); /* as it was */
        return;
    }
    address_print(&a, printed);
    must(address_parse(&again, printed, strlen(printed)) && address_same(&a, &again));
}

/* ---- ranges ------------------------------------------------------------------ */

static bool shares(const struct address_range *r, const struct address *a)
{
    for (unsigned i = 0; i < r->bits; i++)
        if ((r->first.bytes[i / 8] ^ a->bytes[i / 8]) >> (7 - i % 8) & 1)
            return false;
    return true;
}

static void check_range(const char *text, const struct address *other)
{
    struct err err = {0};
    struct address_range r;
    struct address_list list;
    int rc = address_range_parse(&r, text, &err);
    must(rc == 0 || (rc == -ERR_ARGUMENT && err.text[0]));
    must(address_list_parse(&list, &text, 1, &err) == rc);
    if (rc == 0) {
        must(r.bits <= 128);
        must(address_list_holds(&list, &r.first));
        must(address_list_holds(&list, other) == shares(&r, other));
    }
    address_list_free(&list);
}

/* ---- forwarded --------------------------------------------------------------- */

/* The list's elements from the right, while who wrote them is trusted. */
static bool walk(struct address *client, const struct address_list *trusted, char *value)
{
    for (char *comma = value; comma && address_list_holds(trusted, client);) {
        comma = strrchr(value, ',');
        char *x = comma ? comma + 1 : value;
        x += strspn(x, " \t");
        size_t n = strlen(x);
        while (n > 0 && (x[n - 1] == ' ' || x[n - 1] == '\t'))
            n--;
        x[n] = '\0';
        if (n > 0 && !expected(client, x))
            return true;
        if (comma)
            *comma = '\0';
    }
    return !address_list_holds(trusted, client);
}

static void check_forwarded(const char *text, size_t len)
{
    static const char *const texts[] = {"10.0.0.0/8", "fd00::/8", "127.0.0.1"};
    struct address_list trusted;
    struct address a, b;
    struct err err;
    char copy[MOST_TEXT + 1];
    strcpy(copy, text);
    must(address_list_parse(&trusted, texts, 3, &err) == 0);
    must(address_parse(&a, "127.0.0.1", 9));
    b = a;
    bool known = address_forwarded(&a, &trusted, text, len);
    must(known == walk(&b, &trusted, copy) && address_same(&a, &b));
    must(known || address_list_holds(&trusted, &a));
    address_list_free(&trusted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address other = {0}, before = {{7}}, after = before;
    if (size > MOST_TEXT)
        return 0;
    memcpy(other.bytes, data, size < sizeof other.bytes ? size : sizeof other.bytes);
    char *bytes = mem_alloc(size + 1); /* exactly as long, for the sanitizer */
    memcpy(bytes, data, size);
    bytes[size] = '\0';
    size_t len = strlen(bytes);
    if (len < size) /* a NUL is no part of any address */
        must(!address_parse(&after, bytes, size) || memchr(bytes, '%', len));
    check_range(bytes, &other);
    check_parse(bytes, len);
    check_forwarded(bytes, len);
    mem_free(bytes);
    return 0;
}
