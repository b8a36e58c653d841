/* Targets to routes: templates, escapes, own routes, the bounded labels.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char path[256];

static int find(struct route *r, const char *method, const char *target)
{
    struct err err;
    return route_find(r, method, target, strlen(target), path, &err);
}

static void api_routes(void **state)
{
    (void)state;
    struct route r;
    assert_int_equal(find(&r, "POST", "/v1/completions"), 0);
    assert_int_equal(r.kind, ROUTE_API);
    assert_int_equal(r.api, API_COMPLETIONS);
    assert_false(r.open);
    assert_int_equal(find(&r, "GET", "/livez?verbose=1"), 0);
    assert_true(r.open);
    assert_string_equal(route_label(r.label), "/livez");
    assert_int_equal(find(&r, "HEAD", "http://host:80/metrics"), 0);
    assert_int_equal(r.api, API_METRICS);
    assert_int_equal(find(&r, "GET", "http://host"), 0);
    assert_int_equal(r.kind, ROUTE_PAGE);
}

static void slashes_in_an_id_are_data(void **state)
{
    (void)state;
    struct route r;
    assert_int_equal(find(&r, "GET", "/v1/models/org%2Fname"), 0);
    assert_int_equal(r.arg_len, 8);
    assert_memory_equal(r.arg, "org/name", 8);
    assert_string_equal(route_label(r.label), "/v1/models/{id}");
    assert_int_equal(find(&r, "GET", "/models/o%2Fn"), 0);
    assert_int_equal(r.arg_len, 3);
    assert_memory_equal(r.arg, "o/n", 3);
    assert_string_equal(route_label(r.label), "/v1/models/{id}");
    assert_int_equal(find(&r, "GET", "/models%2Fname"), -ERR_NOT_FOUND);
    assert_int_equal(find(&r, "GET", "/v1/models%2Fname"), -ERR_NOT_FOUND);
    assert_int_equal(find(&r, "GET", "/v1%2fmodels/name"), -ERR_NOT_FOUND);
    assert_int_equal(find(&r, "GET", "%2flivez"), -ERR_NOT_FOUND);
}

static void refusals(void **state)
{
    (void)state;
    struct route r;
    struct buf allow = {0};
    assert_int_equal(find(&r, "GET", "/v1/completions"), -ERR_METHOD);
    assert_string_equal(route_label(r.label), "/v1/completions");
    route_allow(&r, &allow);
    assert_string_equal(allow.data, "POST, OPTIONS");
    buf_reset(&allow);
    assert_int_equal(find(&r, "POST", "/"), -ERR_METHOD);
    route_allow(&r, &allow);
    assert_string_equal(allow.data, "GET, HEAD, OPTIONS");
    buf_free(&allow);
    assert_int_equal(find(&r, "GET", "/client/text"), -ERR_NOT_FOUND);
    assert_string_equal(route_label(r.label), "other");
    assert_int_equal(find(&r, "GET", "/livez%00"), -ERR_ARGUMENT);
    assert_int_equal(find(&r, "GET", ""), -ERR_NOT_FOUND);
    assert_int_equal(find(&r, "get", "/livez"), -ERR_METHOD);
}

static void options(void **state)
{
    (void)state;
    static const char *const known[] = {"/", "*", "/v1/completions", "/v1/models/x"};
    struct route r;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(find(&r, "OPTIONS", known[i]), 0);
        assert_int_equal(r.kind, ROUTE_OPTIONS);
        assert_true(r.open);
    }
    assert_int_equal(find(&r, "OPTIONS", "/nothing"), -ERR_NOT_FOUND);
}

static void labels_are_distinct(void **state)
{
    (void)state;
    for (unsigned i = 0; i < route_labels(); i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(route_label(i), route_label(k));
    assert_string_equal(route_label(1000), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(api_routes),
        cmocka_unit_test(slashes_in_an_id_are_data),
        cmocka_unit_test(refusals),
        cmocka_unit_test(options),
        cmocka_unit_test(labels_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
