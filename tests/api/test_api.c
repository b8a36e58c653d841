/* Routes: every endpoint is found by its method, HEAD included; all else is 404 or 405.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int find(struct api_route *r, const char *method, const char *path)
{
    struct err err = {0};
    return api_find(r, method, path, strlen(path), &err);
}

static void every_endpoint_is_found(void **state)
{
    (void)state;
    struct api_route r;
    size_t n = 0;
    for (const struct api_endpoint *e; (e = api_endpoint_at(n)); n++) {
        assert_int_equal(find(&r, e->method, e->path), 0);
        assert_string_equal(r.endpoint->path, e->path);
        if (strcmp(e->method, "GET") == 0)
            assert_int_equal(find(&r, "HEAD", e->path), 0);
    }
    assert_true(n >= 13);
}

static void only_probes_and_metrics_are_open(void **state)
{
    (void)state;
    struct api_route r;
    const char *open[] = {"/livez", "/readyz", "/health", "/metrics"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(find(&r, "GET", open[i]), 0);
        assert_true(r.endpoint->open);
    }
    assert_int_equal(find(&r, "GET", "/v1/models"), 0);
    assert_false(r.endpoint->open);
    assert_int_equal(find(&r, "POST", "/v1/completions"), 0);
    assert_false(r.endpoint->open);
}

static void the_id_is_the_rest_of_the_path(void **state)
{
    (void)state;
    struct api_route r;
    assert_int_equal(find(&r, "GET", "/v1/models/org/name"), 0);
    assert_int_equal(r.endpoint->kind, API_MODEL);
    assert_int_equal(r.arg_len, 8);
    assert_memory_equal(r.arg, "org/name", 8);
    assert_int_equal(find(&r, "GET", "/v1/models/"), -ERR_NOT_FOUND);
}

static void base_urls_without_a_version_find_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum api_kind kind;
    } cases[] = {{"POST", "/completions", API_COMPLETIONS},
                 {"POST", "/responses", API_RESPONSES},
                 {"GET", "/models", API_MODELS},
                 {"HEAD", "/models/org/name", API_MODEL}};
    struct api_route r, full;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[64] = "/v1";
        strcat(path, cases[i].path);
        assert_int_equal(find(&r, cases[i].method, cases[i].path), 0);
        assert_int_equal(find(&full, cases[i].method, path), 0);
        assert_int_equal(r.endpoint->kind, cases[i].kind);
        assert_ptr_equal(r.endpoint, full.endpoint);
        assert_int_equal(r.arg_len, full.arg_len);
    }
    assert_string_equal(r.arg, "org/name");
    struct buf b = {0};
    assert_int_equal(find(&r, "GET", "/completions"), -ERR_METHOD);
    api_allow("/completions", 12, &b);
    assert_string_equal(b.data, "POST, OPTIONS");
    buf_free(&b);
}

static void other_paths_are_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "/",
                                        "/v1",
                                        "/v1/model",
                                        "/livez/",
                                        "/v1/completions/",
                                        "/v1//models",
                                        "/LIVEZ",
                                        "*",
                                        "/v1/livez",
                                        "/states",
                                        "/states/x",
                                        "/models/",
                                        "/v1/v1/models"};
    struct api_route r;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(find(&r, "GET", paths[i]), -ERR_NOT_FOUND);
        assert_null(r.endpoint);
    }
    struct err err;
    assert_int_equal(api_find(&r, "GET", "/livez\0", 7, &err), -ERR_NOT_FOUND);
}

static void a_wrong_method_says_which_are_allowed(void **state)
{
    (void)state;
    struct api_route r;
    struct buf b = {0};
    assert_int_equal(find(&r, "GET", "/v1/completions"), -ERR_METHOD);
    assert_int_equal(find(&r, "HEAD", "/tokenize"), -ERR_METHOD);
    assert_int_equal(find(&r, "POST", "/livez"), -ERR_METHOD);
    assert_int_equal(find(&r, "get", "/livez"), -ERR_METHOD);
    assert_string_equal(r.endpoint->path, "/livez");
    api_allow("/v1/completions", 15, &b);
    assert_string_equal(b.data, "POST, OPTIONS");
    buf_reset(&b);
    api_allow("/v1/models/x", 12, &b);
    assert_string_equal(b.data, "GET, HEAD, OPTIONS");
    buf_reset(&b);
    api_allow("/v1/states/x", 12, &b);
    assert_string_equal(b.data, "GET, HEAD, PUT, DELETE, OPTIONS");
    buf_reset(&b);
    api_allow("/nothing", 8, &b);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_is_found),
        cmocka_unit_test(only_probes_and_metrics_are_open),
        cmocka_unit_test(the_id_is_the_rest_of_the_path),
        cmocka_unit_test(base_urls_without_a_version_find_the_same),
        cmocka_unit_test(other_paths_are_not_found),
        cmocka_unit_test(a_wrong_method_says_which_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
