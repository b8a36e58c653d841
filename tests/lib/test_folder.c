/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

struct maker test_folder;

int test_folder_make(void **state)
{
    (void)state;
    maker_open(&test_folder);
    return 0;
}

int test_folder_unmake(void **state)
{
    (void)state;
    maker_close(&test_folder);
    return 0;
}

void test_folder_expect_says(const struct err *err, const char *const texts[])
{
    for (int i = 0; texts[i]; i++)
        if (!strstr(err->text, texts[i]))
            fail_msg("\"%s\" does not say \"%s\"", err->text, texts[i]);
}
