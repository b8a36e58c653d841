/*
 * Files that are mapped into memory, by address: a file that shrinks under its mapping is a
 * SIGBUS wherever it is read next, and this names it. A global table, for a signal handler
 * has no argument; adding and removing are lock-free, any thread. Refuses nothing: what the
 * table has no room for is not named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_MAPPING_H
#define ENGINE_BASE_MAPPING_H

#include <stddef.h>

/* path is borrowed until mapping_remove. */
void mapping_add(const void *start, size_t bytes, const char *path);

/* Before the memory is unmapped; nothing happens where `start` was not added. */
void mapping_remove(const void *start);

/* The file that lies at this address, or NULL. Async-signal-safe. */
const char *mapping_path(const void *address);

#endif
