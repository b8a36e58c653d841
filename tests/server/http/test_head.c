/* Heads that are accepted and refused, cut at every byte; percent-decoding.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct head_limits limits = {256, 1024};

/* Parses what head_find finds; the bytes of the head, or -code. */
static ssize_t parse(struct head *h, const char *data, size_t len, struct err *err)
{
    struct head_scan scan = {0};
    *h = (struct head){0};
    ssize_t n = head_find(&scan, &limits, data, len, err);
    if (n <= 0)
        return n;
    int rc = head_parse(h, &limits, data, (size_t)n, err);
    return rc ? rc : n;
}

static int code(const char *data, size_t len)
{
    struct head h;
    struct err err = {0};
    ssize_t n = parse(&h, data, len, &err);
    head_free(&h);
    return n > 0 ? 0 : n < 0 ? (int)err.code : -1;
}

#define LINE       "GET / HTTP/1.1\r\n"
#define CODE(text) code(text, sizeof text - 1)
#define WITH(text)                                                                       \
    code(LINE "Host: x\r\n" text "\r\n", sizeof(LINE "Host: x\r\n" text "\r\n") - 1)

static void parts(void **state)
{
    (void)state;
    static const char text[] = "POST /v1/x?a=b HTTP/1.1\r\nHost: x\r\nEmpty:\r\n"
                               "X-Y: \t a b \t\r\nContent-Length: 45 \r\n\r\nbody";
    struct head h;
    struct err err;
    assert_int_equal(parse(&h, text, sizeof text - 1, &err), sizeof text - 5);
    assert_string_equal(h.method, "POST");
    assert_string_equal(h.target, "/v1/x?a=b");
    assert_int_equal(h.target_len, 9);
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.n_headers, 4);
    assert_string_equal(head_header(&h, "empty")->value, "");
    assert_string_equal(head_header(&h, "x-y")->value, "a b");
    assert_int_equal(head_header(&h, "X-Y")->value_len, 3);
    assert_int_equal(h.content_length, 45);
    assert_null(head_header(&h, "x"));
    assert_true(h.keep_alive && !h.chunked && !h.expects_continue);
    head_free(&h);
}

static void connections(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep, chunked, expects;
    } rows[] = {
        {"GET / HTTP/1.1\nHost: x\n\n", true, false, false},
        {"GET / HTTP/1.0\r\n\r\n", false, false, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n\r\n", false, false,
         false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: closed\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n", true, true,
         false},
        {"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n", true, false, true},
        {"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct head h;
        struct err err;
        assert_true(parse(&h, rows[i].text, strlen(rows[i].text), &err) > 0);
        assert_int_equal(h.keep_alive, rows[i].keep);
        assert_int_equal(h.chunked, rows[i].chunked);
        assert_int_equal(h.expects_continue, rows[i].expects);
        head_free(&h);
    }
}

static void request_lines(void **state)
{
    (void)state;
    static const char *const bad[] = {"GET",
                                      "GET /",
                                      "GET  / HTTP/1.1",
                                      "GET / HTTP/1.1 ",
                                      "GET / HTTP/2.0",
                                      "GET / HTTP/1.2",
                                      "GET / http/1.1",
                                      "G(T / HTTP/1.1",
                                      "GET /a b HTTP/1.1",
                                      "GET / HTTP/1.1 x",
                                      "GET /\x01 HTTP/1.1",
                                      "GET /\t HTTP/1.1",
                                      "GET / HTTP/11"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%s\r\nHost: x\r\n\r\n", bad[i]);
        assert_int_equal(code(text, (size_t)n), ERR_ARGUMENT);
    }
    assert_int_equal(CODE("\x16\x03\x01"), ERR_ARGUMENT);
    assert_int_equal(CODE(" GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ERR_ARGUMENT);
    assert_int_equal(CODE("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"), ERR_ARGUMENT);
    assert_int_equal(CODE("G\0T / HTTP/1.1\r\nHost: x\r\n\r\n"), ERR_ARGUMENT);
    assert_int_equal(CODE(LINE "\r\n"), ERR_ARGUMENT); /* no Host */
    assert_int_equal(CODE("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
}

static void good_headers(void **state)
{
    (void)state;
    assert_int_equal(WITH("Content-Length: 3\r\n"), 0);
    assert_int_equal(WITH("Content-Length: 3 \r\n"), 0);
    assert_int_equal(WITH("Content-Length:003\r\n"), 0);
    assert_int_equal(WITH("A: */*\n"), 0);
    assert_int_equal(WITH("A: \xc3\xa9\r\n"), 0);
    assert_int_equal(WITH("Content-Length: 18446744073709551615\r\n"), 0);
}

static void bad_headers(void **state)
{
    (void)state;
    assert_int_equal(WITH("Content-Length : 3\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length: 3\r\ncontent-length: 3\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length: 45, 45\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length: +5\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length: -1\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length: 1x\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length:\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length: 18446744073709551616\r\n"), ERR_TOO_LARGE);
    assert_int_equal(WITH("host: b\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
                     ERR_ARGUMENT);
    assert_int_equal(WITH("Transfer-Encoding: gzip, chunked\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Transfer-Encoding: identity\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Transfer-Encoding: chunked, chunked\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                     ERR_ARGUMENT);
    assert_int_equal(CODE("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
                     ERR_ARGUMENT);
    assert_int_equal(WITH("X: a\0b\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("X: a\0\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("X: a\rb\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("X: a\r\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("X: a\x7f\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("A: b\r\n folded: c\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("No-Colon\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH(": empty\r\n"), ERR_ARGUMENT);
    assert_int_equal(WITH("X\x80: a\r\n"), ERR_ARGUMENT);
}

static void sizes(void **state)
{
    (void)state;
    static char text[4096];
    int n = snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", 255, 0);
    assert_int_equal(code(text, (size_t)n), 0);
    n = snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", 256, 0);
    assert_int_equal(code(text, (size_t)n), ERR_URI);
    n = snprintf(text, sizeof text, "%0*d / HTTP/1.1\r\nHost: x\r\n\r\n", 400, 0);
    assert_int_equal(code(text, (size_t)n), ERR_URI);
    n = snprintf(text, sizeof text, "GET /%0*d", 400, 0); /* before its end has come */
    assert_int_equal(code(text, (size_t)n), ERR_URI);
    n = snprintf(text, sizeof text, LINE "Host: x\r\nX: %0*d", 1024, 0);
    assert_int_equal(code(text, (size_t)n), ERR_HEADERS);
    n = snprintf(text, sizeof text, LINE "Host: x\r\nX: %0*d\r\n\r\n", 1024 - 16, 0);
    assert_int_equal(code(text, (size_t)n), 0);
    n = snprintf(text, sizeof text, LINE "Host: x\r\n");
    for (int i = 0; i < 256; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "a:\n");
    snprintf(text + n, sizeof text - (size_t)n, "\n");
    assert_int_equal(code(text, (size_t)n + 1), ERR_HEADERS);
}

/* However a head is cut, it is found once its last byte is in, and no earlier. */
static void pieces(void **state)
{
    (void)state;
    static const char text[] = "GET /abc HTTP/1.1\r\nHost: x\nA: b\r\n\r\nGET";
    size_t len = sizeof text - 4;
    for (size_t first = 0; first <= len; first++)
        for (size_t step = 1; step < 7; step++) {
            struct head_scan scan = {0};
            struct err err;
            ssize_t n = 0;
            for (size_t have = first; n == 0; have += step) {
                have = have < len + 3 ? have : len + 3;
                n = head_find(&scan, &limits, text, have, &err);
                assert_true(have >= len ? n > 0 : n == 0);
            }
            assert_int_equal(n, len);
        }
}

static void unescape(const char *from, const char *want)
{
    char to[64];
    ssize_t n = head_unescape(from, strlen(from), to);
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
        cmocka_unit_test(parts),         cmocka_unit_test(connections),
        cmocka_unit_test(request_lines), cmocka_unit_test(good_headers),
        cmocka_unit_test(bad_headers),   cmocka_unit_test(sizes),
        cmocka_unit_test(pieces),        cmocka_unit_test(escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
