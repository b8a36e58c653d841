/*
 * The folder of a test that makes models or configurations in it, one a program; and what
 * such tests ask of an error's text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_LIB_MADE_FOLDER_H
#define TESTS_LIB_MADE_FOLDER_H

#include "engine/base/err.h"
#include "tests/lib/model_maker.h"

extern struct maker made_folder;

/* Set-up and tear-down of cmocka, for a test or a group. */
int made_folder_make(void **state);
int made_folder_unmake(void **state);

/* Fails unless the error's text has each of these, which NULL ends. */
void made_folder_expect_says(const struct err *err, const char *const texts[]);
#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
