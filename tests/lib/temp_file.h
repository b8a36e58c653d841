/* A file without a name, gone when it is closed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_TEMP_FILE_H
#define TESTS_LIB_TEMP_FILE_H

int temp_file(void); /* a descriptor, the caller's; fails the test */

#endif
