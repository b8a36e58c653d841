/*
 * The only malloc of the project, its guard and its fault seam.
 *
 * Memory lives in four lifetimes (model, engine, step, request), each an arena or a buf
 * built on these. mem_guard makes an allocation on this thread fatal, which proves that a
 * step allocates nothing. mem_fail_after is the seam by which tests make allocation fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_MEM_H
#define ENGINE_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* Uninitialised memory, 64-byte aligned, or NULL. Owned by the caller until mem_free. */
void *mem_alloc(size_t size);

/* As mem_alloc, zeroed. NULL when n * size overflows. */
void *mem_zalloc(size_t n, size_t size);

/* Grows a block whose first old_size bytes are kept; on failure returns NULL and the old
 * block stays valid and owned by the caller. */
void *mem_grow(void *p, size_t old_size, size_t new_size);

void mem_free(void *p); /* accepts NULL */

/* Hands what lies in a large block back to the system, which takes it by pages: from now
 * on its bytes are unspecified until they are written. The block stays the caller's. */
void mem_forget(void *p, size_t size);

/* A large block that is touched little by little: what is untouched takes no memory. */
void mem_sparse(void *p, size_t size);

/* At the start of a process that is to give back what it frees: two arenas for all its
 * threads, and large blocks as mappings of their own, which end when they are freed. */
void mem_few_arenas(void);

/* Gives what was freed back to the system, on every thread; takes milliseconds. */
void mem_trim(void);

/* Bytes that this thread has allocated less those that it has freed: a difference of two
 * readings is what the work between them left allocated. */
ptrdiff_t mem_held(void);

/* While true on this thread, any allocation through mem aborts the process. */
void mem_guard(bool on);

/* Tests: the n-th allocation from now on fails once (n = 1: the next); 0 turns it off. */
void mem_fail_after(long n);

#endif
