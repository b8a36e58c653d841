/* malloc behind a guard. Any thread; the guard is per thread, the fault seam is per
 * process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MEM_ALIGN = 64, MEM_HUGE = 2 << 20 };

static _Thread_local bool guarded;
static _Thread_local ptrdiff_t held;
static atomic_long fail_in;

static bool refused(void)
{
    if (guarded) {
        fputs("ssmd: allocation inside a step\n", stderr);
        abort();
    }
    if (atomic_load_explicit(&fail_in, memory_order_relaxed) <= 0)
        return false;
    return atomic_fetch_sub(&fail_in, 1) == 1;
}

void *mem_alloc(size_t size)
{
    if (refused() || size > PTRDIFF_MAX - MEM_HUGE)
        return NULL;
    size_t align = size >= MEM_HUGE ? MEM_HUGE : MEM_ALIGN;
    size_t rounded = (size + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    void *p = NULL; /* aligned_alloc would ask for a multiple of the alignment */
    if (posix_memalign(&p, align, rounded ? rounded : MEM_ALIGN))
        return NULL;
    if (align == MEM_HUGE) /* weights stream faster with fewer address translations */
        madvise(p, rounded / MEM_HUGE * MEM_HUGE, MADV_HUGEPAGE);
    held += (ptrdiff_t)malloc_usable_size(p);
    return p;
}

void *mem_zalloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *p = mem_alloc(bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *mem_grow(void *p, size_t old_size, size_t new_size)
{
    void *q = mem_alloc(new_size);
    if (!q)
        return NULL;
    if (p)
        memcpy(q, p, old_size < new_size ? old_size : new_size);
    mem_free(p);
    return q;
}

void mem_free(void *p)
{
    held -= (ptrdiff_t)malloc_usable_size(p);
    free(p);
}

void mem_forget(void *p, size_t size)
{
    enum { PAGE = 4096 };
    size_t skip = (PAGE - (uintptr_t)p % PAGE) % PAGE;
    if (size >= skip + PAGE)
        madvise((char *)p + skip, (size - skip) / PAGE * PAGE, MADV_DONTNEED);
}

void mem_sparse(void *p, size_t size)
{
    if (size >= MEM_HUGE)
        madvise(p, size / MEM_HUGE * MEM_HUGE, MADV_NOHUGEPAGE);
}

void mem_few_arenas(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 128 << 10); /* fixed: it would grow with what is freed */
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

void mem_trim(void)
{
    malloc_trim(0);
}

ptrdiff_t mem_held(void)
{
    return held;
}

void mem_guard(bool on)
{
    guarded = on;
}

void mem_fail_after(long n)
{
    atomic_store(&fail_in, n);
}
