/* Answers by chunks, by length and until the end, in pieces of every size; lines; what is
 * no HTTP, too large or cut.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/http_reader.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct answer {
    const char *text;
    int status;
    const char *body;
    bool ended; /* the connection's end is part of it */
};

static const struct answer answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
    {"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, "", false},
    {"HTTP/1.1 503 \r\nContent-Length: 2\r\n\r\n{}", 503, "{}", false},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 204, "", false},
    {"HTTP/1.0 302 Found\r\n\r\n", 302, "", true},
    {"HTTP/1.0 200 OK\n\nall that\ncomes", 200, "all that\ncomes", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\nhello\r\n1;x=y\r\n,\r\nA\r\n\r\n world\r\n\r\n0\r\n\r\n",
     200, "hello,\r\n world\r\n", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
     "000002\r\nab\r\n0\r\nTrailer: x\r\n\r\nmore that is ignored",
     200, "ab", false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200,
     "x", false},
};

enum { N_ANSWERS = sizeof answers / sizeof *answers };

static int put_in_pieces(struct http_reader *r, const char *text, size_t piece)
{
    int rc = 0;
    for (size_t at = 0, len = strlen(text); at < len && rc == 0; at += piece)
        rc = http_reader_put(r, text + at, piece < len - at ? piece : len - at, NULL);
    return rc;
}

static void answers_in_pieces_of_every_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ANSWERS; i++) {
        const struct answer *a = &answers[i];
        for (size_t piece = 1; piece <= strlen(a->text); piece++) {
            struct http_reader r = {0};
            assert_int_equal(put_in_pieces(&r, a->text, piece), 0);
            assert_int_equal(r.part == HTTP_READER_DONE, !a->ended);
            assert_int_equal(http_reader_end(&r, NULL), 0);
            assert_int_equal(r.status, a->status);
            assert_int_equal(r.body.len, strlen(a->body));
            assert_memory_equal(r.body.data ? r.body.data : "", a->body, r.body.len);
            http_reader_free(&r);
        }
    }
}

static void the_answer_of_a_head_has_no_body(void **state)
{
    (void)state;
    struct http_reader r = {.no_body = true};
    assert_int_equal(put_in_pieces(&r, answers[0].text, 7), 0);
    assert_int_equal(r.part, HTTP_READER_DONE);
    assert_int_equal(r.body.len, 0);
    http_reader_free(&r);
}

static void an_answer_that_is_cut_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ANSWERS; i++) {
        char text[256];
        struct http_reader r = {0};
        const struct answer *a = &answers[i];
        if (a->ended || strstr(a->text, "ignored"))
            continue;
        snprintf(text, sizeof text, "%.*s", (int)strlen(a->text) - 1, a->text);
        assert_int_equal(put_in_pieces(&r, text, 1), 0);
        assert_int_equal(http_reader_end(&r, NULL), -ERR_IO);
        http_reader_free(&r);
    }
}

static void what_is_no_http(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "hello",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t piece = 1; piece <= strlen(texts[i]); piece++) {
            struct http_reader r = {0};
            if (put_in_pieces(&r, texts[i], piece) != -ERR_FORMAT)
                fail_msg("in pieces of %zu: %s", piece, texts[i]);
            http_reader_free(&r);
        }
    }
}

static int put_again(struct http_reader *r, const char *text, int times)
{
    int rc = 0;
    for (int i = 0; i < times && rc == 0; i++)
        rc = http_reader_put(r, text, strlen(text), NULL);
    return rc;
}

static void heads_and_bodies_have_limits(void **state)
{
    (void)state;
    static char piece[1 << 20];
    memset(piece, 'x', sizeof piece - 1);
    struct http_reader r = {0};
    assert_int_equal(put_again(&r, "HTTP/1.1 200 OK\r\n", 1), 0);
    assert_int_equal(put_again(&r, "Name: value\r\n", 10000), -ERR_FORMAT);
    http_reader_free(&r);
    assert_int_equal(put_again(&r, "HTTP/1.1 200 OK\r\n\r\n", 1), 0);
    assert_int_equal(put_again(&r, piece, 65), -ERR_TOO_LARGE);
    http_reader_free(&r);
}

static void lines_come_when_they_are_whole(void **state)
{
    (void)state;
    static const char *const whole[] = {"data: {}", "", ": still there", "", "data: é"};
    const char *text = "HTTP/1.1 200 OK\r\n\r\n"
                       "data: {}\n\n: still there\r\n\ndata: é\ndata: cut";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct http_reader r = {0};
        size_t found = 0, len;
        const char *line;
        for (size_t at = 0; at < strlen(text); at += piece) {
            size_t n = piece < strlen(text) - at ? piece : strlen(text) - at;
            assert_int_equal(http_reader_put(&r, text + at, n, NULL), 0);
            while (http_reader_line(&r, &line, &len)) {
                assert_true(found < sizeof whole / sizeof *whole);
                assert_int_equal(len, strlen(whole[found]));
                assert_memory_equal(line, whole[found], len);
                found++;
            }
        }
        assert_int_equal(found, sizeof whole / sizeof *whole);
        http_reader_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_pieces_of_every_size),
        cmocka_unit_test(the_answer_of_a_head_has_no_body),
        cmocka_unit_test(an_answer_that_is_cut_is_an_error),
        cmocka_unit_test(what_is_no_http),
        cmocka_unit_test(heads_and_bodies_have_limits),
        cmocka_unit_test(lines_come_when_they_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
