/* Memory between two untouchable pages. A region only ever grows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kernels/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(2);
}

static void grow(struct region *r, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (r->base)
        munmap(r->base - page, r->bytes + 2 * page);
    r->bytes = (n / page + 1) * page;
    char *all =
        mmap(NULL, r->bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(all != MAP_FAILED, "mmap");
    r->base = all + page;
}

char *memory_place(struct region *r, size_t n, bool low)
{
    if (!r->base || n > r->bytes)
        grow(r, n);
    must(mprotect(r->base, r->bytes, PROT_READ | PROT_WRITE) == 0, "mprotect");
    return low ? r->base : r->base + r->bytes - n;
}

void memory_lock(const struct region *r)
{
    if (r->base)
        must(mprotect(r->base, r->bytes, PROT_READ) == 0, "mprotect");
}
