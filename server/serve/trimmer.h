/*
 * Gives memory that requests have freed back to the system: what the allocator keeps of a
 * burst of large bodies would count against the process for ever. Loop thread; a worker
 * does it, for it takes milliseconds, once a second at most.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_TRIMMER_H
#define SERVER_SERVE_TRIMMER_H

#include "server/serve/task.h"

struct trimmer { /* zeroed: nothing was freed */
    struct task task;
    size_t freed_bytes; /* since the last time; whoever frees adds to it */
    uint64_t last_ns;
};

void trimmer_tick(struct trimmer *t, uv_loop_t *loop, uint64_t now_ns);

#endif
