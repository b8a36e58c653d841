/* Addresses inside, at the edges and outside of what is mapped, also after it is gone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mapping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char memory[100];

static void an_address_has_the_name_of_its_file(void **state)
{
    (void)state;
    assert_null(mapping_path(NULL));
    assert_null(mapping_path(memory + 20));
    mapping_add(memory + 10, 20, "a");
    mapping_add(memory + 30, 40, "b");
    assert_null(mapping_path(memory + 9));
    assert_string_equal(mapping_path(memory + 10), "a");
    assert_string_equal(mapping_path(memory + 29), "a");
    assert_string_equal(mapping_path(memory + 30), "b");
    assert_string_equal(mapping_path(memory + 69), "b");
    assert_null(mapping_path(memory + 70));
    mapping_remove(memory + 10);
    mapping_remove(memory + 10);
    assert_null(mapping_path(memory + 15));
    mapping_add(memory, 30, "c");
    assert_string_equal(mapping_path(memory + 15), "c");
    mapping_remove(memory);
    mapping_remove(memory + 30);
    assert_null(mapping_path(memory + 40));
}

/* What does not fit is not named, and does not push out what does. */
static void a_full_table_keeps_what_it_has(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    static char many[MANY];
    for (int i = 0; i < MANY; i++)
        mapping_add(many + i, 1, "x");
    assert_string_equal(mapping_path(many), "x");
    assert_null(mapping_path(many + MANY - 1));
    for (int i = 0; i < MANY; i++)
        mapping_remove(many + i);
    assert_null(mapping_path(many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_the_name_of_its_file),
        cmocka_unit_test(a_full_table_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
