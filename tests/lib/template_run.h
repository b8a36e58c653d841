/*
 * Templates that are compiled and rendered in one call, for tables of tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_TEMPLATE_RUN_H
#define TESTS_LIB_TEMPLATE_RUN_H

#include "tests/lib/template_values.h"

/* The text with its marks, as template_values.h shows them; "failed: …", or "raised: …"
 * of raise_exception. Valid until t is closed. */
const char *template_run(struct template_values *t, const char *source,
                         struct jinja_value vars);

struct template_case {
    const char *source, *want;
};

/* Fails on the first case whose text is another. `vars` is a JSON object. */
void template_run_all(const struct template_case *cases, size_t n, const char *vars);

#endif
