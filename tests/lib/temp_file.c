/* Made by tmpfile, kept as a descriptor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

int temp_file(void)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int fd = dup(fileno(f));
    assert_true(fd >= 0);
    fclose(f);
    return fd;
}
