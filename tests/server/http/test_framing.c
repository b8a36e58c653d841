/* Headers that let two readers see two requests, and percent-decoding.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Reads "Name: value" lines as the HTTP library does: line ends and the first colon
 * become NUL, spaces after it are skipped, values end at their first NUL. */
static int check(const char *block, size_t len)
{
    char bytes[512];
    struct http_header headers[16];
    size_t n = 0;
    assert_true(len < sizeof bytes);
    memcpy(bytes, block, len);
    bytes[len] = '\0';
    char *end = bytes + len;
    for (char *p = bytes; p < end;) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        assert_non_null(stop);
        *stop = '\0';
        if (stop > p && stop[-1] == '\r')
            stop[-1] = '\0';
        if (*p) {
            char *colon = strchr(p, ':');
            assert_non_null(colon);
            *colon++ = '\0';
            while (*colon == ' ')
                colon++;
            headers[n++] = (struct http_header){p, colon, strlen(p), strlen(colon)};
        }
        p = stop + 1;
    }
    return framing_check(headers, n, end, NULL);
}

#define CHECK(text) check(text, sizeof text - 1)

static void good_blocks(void **state)
{
    (void)state;
    assert_int_equal(CHECK("Host: x\r\nContent-Length: 3\r\n\r\n"), 0);
    assert_int_equal(CHECK("Host: x\nAccept: */*\n\n"), 0);
    assert_int_equal(CHECK("Host: x\r\nTransfer-Encoding: Chunked\r\n\r\n"), 0);
    assert_int_equal(CHECK("Host:\r\nEmpty:\r\nLast:\r\n\r\n"), 0);
    assert_int_equal(framing_check(NULL, 0, NULL, NULL), 0);
}

static void bad_blocks(void **state)
{
    (void)state;
    assert_int_not_equal(CHECK("Content-Length : 3\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("Content-Length: 3\r\ncontent-length: 3\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("Host: a\r\nhost: b\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
                         0);
    assert_int_not_equal(CHECK("Transfer-Encoding: gzip, chunked\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("Transfer-Encoding: chunked, chunked\r\n\r\n"), 0);
    assert_int_not_equal(
        CHECK("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("X: a\0b\r\nY: c\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("X: a\0\r\nY: c\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("Y: c\r\nX: a\0b\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("Y: c\nX: a\0b\n\n"), 0);
    assert_int_not_equal(CHECK("X: a\rb\r\n\r\n"), 0);
    assert_int_not_equal(CHECK(": empty\r\n\r\n"), 0);
    assert_int_not_equal(CHECK("X\x80: a\r\n\r\n"), 0);
}

static void unescape(const char *from, const char *want)
{
    char to[64];
    ssize_t n = framing_unescape(from, strlen(from), to);
    if (!want) {
        assert_int_equal(n, -1);
        return;
    }
    assert_int_equal(n, strlen(want));
    assert_memory_equal(to, want, strlen(want));
}

static void escapes(void **state)
{
    (void)state;
    unescape("/v1/models", "/v1/models");
    unescape("/a%20b%2Fc%c3%A9", "/a b/c\xc3\xa9");
    unescape("", "");
    unescape("/%", NULL);
    unescape("/%2", NULL);
    unescape("/%g0", NULL);
    unescape("/%00", NULL);
    unescape("/%0a", NULL);
    unescape("/%7f", NULL);
    unescape("/\x01", NULL);
    unescape("/%%32", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_blocks),
        cmocka_unit_test(bad_blocks),
        cmocka_unit_test(escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
