/* Bodies by length and in chunks, cut at every byte; what is not content is bounded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct reading {
    char content[256];
    size_t n, used; /* bytes of content; of everything */
    int code;       /* 0, or of the error */
    bool done;
};

/* Feeds data in pieces of `step` bytes, from which the owner takes at most `most`. */
static struct reading read_all(struct framing f, const char *data, size_t len,
                               size_t step, size_t most)
{
    struct reading r = {0};
    while (r.used < len && !framing_done(&f)) {
        struct err err;
        size_t piece = len - r.used < step ? len - r.used : step;
        ssize_t n = framing_read(&f, data + r.used, piece, &err);
        if (n < 0) {
            r.code = (int)err.code;
            return r;
        }
        r.used += (size_t)n;
        size_t content = framing_content(&f, piece - (size_t)n);
        content = content < most ? content : most;
        if (content == 0)
            continue;
        assert_true(r.n + content <= sizeof r.content);
        memcpy(r.content + r.n, data + r.used, content);
        framing_took(&f, content);
        r.n += content;
        r.used += content;
    }
    r.done = framing_done(&f);
    return r;
}

static struct framing chunked(void)
{
    struct framing f;
    framing_open(&f, true, 0);
    return f;
}

static void by_length(void **state)
{
    (void)state;
    struct framing f;
    framing_open(&f, false, 0);
    assert_true(framing_done(&f));
    for (size_t step = 1; step < 12; step++) {
        framing_open(&f, false, 10);
        struct reading r = read_all(f, "0123456789GET", 13, step, 3);
        assert_true(r.done);
        assert_int_equal(r.used, 10);
        assert_memory_equal(r.content, "0123456789", 10);
    }
}

static void in_chunks(void **state)
{
    (void)state;
    static const char text[] =
        "5\r\nhello\r\n00a;x=\"y\"\r\n0123456789\r\n1 \t\r\n!\r\n0\r\n"
        "Trailer: x\r\nA: b\n\r\nGET";
    for (size_t step = 1; step < sizeof text; step++)
        for (size_t most = 1; most < 11; most++) {
            struct reading r = read_all(chunked(), text, sizeof text - 1, step, most);
            assert_true(r.done);
            assert_int_equal(r.used, sizeof text - 4);
            assert_int_equal(r.n, 16);
            assert_memory_equal(r.content, "hello0123456789!", 16);
        }
}

static int code(const char *text)
{
    return read_all(chunked(), text, strlen(text), 7, 100).code;
}

static void bad_chunks(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "-2\r\n",     "0x10\r\n", "\r\n",          "zz\r\n",      " 5\r\nhello",
        ";x\r\n",     "5\rx",     "5;a\rb\r\n",    "1\r\nab\r\n", "1\r\na\rb",
        "5;\x01\r\n", "5_\r\n",   "0\r\na\rb\r\n", "5;\x7f\r\n",  "5\n",
        "5;a\n",      "5 \n",     "1\r\na\n",      "5 6\r\n",     "5\t;\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(code(bad[i]), ERR_ARGUMENT);
    assert_int_equal(code("FFFFFFFFFFFFFFFF\r\n"), ERR_TOO_LARGE);
    assert_int_equal(code("10000000000000000\r\n"), ERR_TOO_LARGE);
    assert_int_equal(code("1000000000000000\r\n"), ERR_TOO_LARGE);
    assert_int_equal(code("FFFFFFFFFFFFFFF\r\n"), 0);
}

static void bounded(void **state)
{
    (void)state;
    static char text[16384];
    memset(text, '0', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(code(text), ERR_ARGUMENT);
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "2d;", 3);
    assert_int_equal(code(text), ERR_ARGUMENT);
    memcpy(text, "0\r\n", 3);
    assert_int_equal(code(text), ERR_HEADERS);
    size_t n = 3;
    while (n + 6 < sizeof text)
        n += (size_t)snprintf(text + n, sizeof text - n, "T: x\r\n");
    assert_int_equal(code(text), ERR_HEADERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_length),
        cmocka_unit_test(in_chunks),
        cmocka_unit_test(bad_chunks),
        cmocka_unit_test(bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
