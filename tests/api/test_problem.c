/* The mapping of every error code, and what a body may and may not show.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/problem.h"
#include "tests/lib/json_same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_code_has_its_status(void **state)
{
    (void)state;
    static const int status[ERR_N_CODES] = {
        [ERR_NONE] = 500,      [ERR_ARGUMENT] = 400,    [ERR_CONTEXT] = 400,
        [ERR_BUDGET] = 400,    [ERR_UNSUPPORTED] = 400, [ERR_THREAD] = 400,
        [ERR_TEMPLATE] = 400,  [ERR_NO_TEMPLATE] = 400, [ERR_TEMPLATE_FILE] = 500,
        [ERR_AUTH] = 401,      [ERR_NOT_FOUND] = 404,   [ERR_MODEL] = 404,
        [ERR_METHOD] = 405,    [ERR_TIMEOUT] = 408,     [ERR_CONFLICT] = 409,
        [ERR_TOO_LARGE] = 413, [ERR_URI] = 414,         [ERR_MEDIA] = 415,
        [ERR_BUSY] = 429,      [ERR_HEADERS] = 431,     [ERR_UNAVAILABLE] = 503,
        [ERR_IO] = 500,        [ERR_FORMAT] = 500,      [ERR_MEMORY] = 500,
        [ERR_INTERNAL] = 500,  [ERR_QUOTA] = 413,       [ERR_COMPLEX] = 413,
        [ERR_STORAGE] = 507,
    };
    for (int i = 0; i < ERR_N_CODES; i++) {
        const struct problem *p = problem_of((enum err_code)i);
        assert_int_equal(p->status, status[i]);
        assert_non_null(p->type);
        /* A broken template is the one fault of ours whose text is for the client. */
        bool hidden = status[i] == 500 && i != ERR_TEMPLATE_FILE;
        assert_int_equal(p->message != NULL, hidden);
        assert_int_equal(p->retry_after, status[i] == 429 || status[i] == 503);
        assert_int_equal(p->close,
                         status[i] == 408 || i == ERR_TOO_LARGE || status[i] == 503);
        assert_int_equal(p->challenge, status[i] == 401);
        assert_int_equal(p->allow, status[i] == 405);
    }
    assert_int_equal(problem_of((enum err_code)999)->status, 500);
    assert_int_equal(problem_of((enum err_code) - 1)->status, 500);
}

static void a_body_has_all_four_members(void **state)
{
    (void)state;
    struct err err;
    struct buf b = {0};
    err_param(&err, ERR_CONTEXT, "prompt", "17 and \"16\"\nexceed 32");
    problem_body(&err, &b);
    json_same("{\"error\":{\"message\":\"17 and \\\"16\\\"\\nexceed 32\","
              "\"type\":\"invalid_request_error\",\"param\":\"prompt\","
              "\"code\":\"context_length_exceeded\"}}",
              b.data, b.len);
    assert_null(memchr(b.data, '\n', b.len));
    buf_reset(&b);
    err_set(&err, ERR_ARGUMENT, "no");
    problem_body(&err, &b);
    json_same("{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\","
              "\"param\":null,\"code\":null}}",
              b.data, b.len);
    buf_free(&b);
}

static void our_own_faults_show_nothing(void **state)
{
    (void)state;
    struct err err;
    struct buf b = {0};
    err_param(&err, ERR_IO, "secret", "/var/lib/model: cannot read");
    problem_body(&err, &b);
    assert_null(strstr(b.data, "/var"));
    assert_null(strstr(b.data, "secret"));
    assert_non_null(strstr(b.data, "\"server_error\""));
    buf_free(&b);
}

static void a_body_in_anthropics_form(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        const char *type;
    } types[] = {{ERR_ARGUMENT, "invalid_request_error"},
                 {ERR_AUTH, "authentication_error"},
                 {ERR_MODEL, "not_found_error"},
                 {ERR_METHOD, "invalid_request_error"},
                 {ERR_TIMEOUT, "timeout_error"},
                 {ERR_CONFLICT, "conflict_error"},
                 {ERR_COMPLEX, "request_too_large"},
                 {ERR_BUSY, "rate_limit_error"},
                 {ERR_UNAVAILABLE, "overloaded_error"},
                 {ERR_STORAGE, "api_error"},
                 {ERR_INTERNAL, "api_error"}};
    struct err err;
    struct buf b = {0};
    err_param(&err, ERR_CONTEXT, "max_tokens", "17 and \"16\"\nexceed 32");
    problem_body_as(PROBLEM_ANTHROPIC, &err, "id\"1", &b);
    json_same("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
              "\"message\":\"17 and \\\"16\\\"\\nexceed 32\","
              "\"details\":{\"error_code\":\"context_length_exceeded\"}},"
              "\"request_id\":\"id\\\"1\"}",
              b.data, b.len);
    assert_null(memchr(b.data, '\n', b.len));
    buf_reset(&b);
    err_set(&err, ERR_MEMORY, "at /var/lib");
    problem_body_as(PROBLEM_ANTHROPIC, &err, NULL, &b);
    json_same("{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":"
              "\"The server had a fault while processing the request.\"}}",
              b.data, b.len);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        buf_reset(&b);
        err_set(&err, types[i].code, "no");
        problem_body_as(PROBLEM_ANTHROPIC, &err, NULL, &b);
        assert_non_null(strstr(b.data, types[i].type));
    }
    assert_string_equal(problem_id_field(PROBLEM_ANTHROPIC), "Request-Id");
    assert_null(problem_id_field(PROBLEM_OPENAI));
    buf_free(&b);
}

/* An endpoint without a word about it has OpenAI's. */
static void a_body_in_openais_form(void **state)
{
    (void)state;
    struct err err;
    struct buf plain = {0}, form = {0};
    err_param(&err, ERR_ARGUMENT, "n", "no");
    problem_body(&err, &plain);
    problem_body_as((enum problem_form){0}, &err, "id", &form);
    assert_string_equal(plain.data, form.data);
    buf_free(&plain);
    buf_free(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_status),
        cmocka_unit_test(a_body_has_all_four_members),
        cmocka_unit_test(our_own_faults_show_nothing),
        cmocka_unit_test(a_body_in_anthropics_form),
        cmocka_unit_test(a_body_in_openais_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
