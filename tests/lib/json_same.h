/* Comparing JSON texts by meaning.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_JSON_SAME_H
#define TESTS_LIB_JSON_SAME_H

#include <stddef.h>

/* Fails the running cmocka test, naming the place, unless both texts are valid JSON and
 * equal: same members in any order, same elements, numbers within 1e-6 of each other. */
void json_same(const char *expected, const char *found, size_t len);

#endif
