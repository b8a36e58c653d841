/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/made_folder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

struct maker made_folder;

int made_folder_make(void **state)
{
    (void)state;
    maker_open(&made_folder);
    return 0;
}

int made_folder_unmake(void **state)
{
    (void)state;
    maker_close(&made_folder);
    return 0;
}

void made_folder_expect_says(const struct err *err, const char *const texts[])
{
    for (int i = 0; texts[i]; i++)
        if (!strstr(err->text, texts[i]))
            fail_msg("\"%s\" does not say \"%s\"", err->text, texts[i]);
}
