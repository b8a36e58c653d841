/*
 * Memory between two pages that nobody may touch: a kernel that reads or writes beyond
 * what it was given dies. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_KERNELS_MEMORY_H
#define TESTS_KERNELS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Zero at first; never freed, for the program ends with its regions. */
struct region {
    char *base; /* owns; NULL until used */
    size_t bytes;
};

/* n bytes right after the first untouchable page (low), or right before the last one.
 * They are valid and writable until the next call for the region. Ends the program when
 * the system has no memory. */
char *memory_place(struct region *r, size_t n, bool low);

/* From here to the next memory_place the region can only be read. */
void memory_lock(const struct region *r);

#endif
