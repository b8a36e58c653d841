/*
 * Models with random weights from the keys of a configuration, in the test's folder: for
 * tests of what keys mean, and of which are refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_SHAPE_CASE_H
#define TESTS_LIB_SHAPE_CASE_H

#include "engine/model/model.h"
#include "tests/lib/made_folder.h"

/* Opens the model of these members, the second ones optional (""); model_open's answer. */
int shape_case_open(struct model *model, const char *members, const char *more,
                    struct err *err);

/* Members beside which a configuration is refused, and what the error says. */
struct shape_fault {
    const char *more, *says[3];
};

/* Fails unless each is refused by ERR_FORMAT in these words. */
void shape_case_expect_faults(const char *members, const struct shape_fault *faults,
                              size_t n);

#endif
