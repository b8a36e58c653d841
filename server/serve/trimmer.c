/* When it is worth it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/trimmer.h"

#include "engine/base/mem.h"

static const size_t WORTH_BYTES = 1 << 20;
static const uint64_t PAUSE_NS = 1000000000u;

static int trim(struct task *task) /* worker */
{
    (void)task;
    mem_trim();
    return 0;
}

static void done(struct task *task)
{
    (void)task;
}

void trimmer_tick(struct trimmer *t, uv_loop_t *loop, uint64_t now_ns)
{
    if (t->task.active || t->freed_bytes < WORTH_BYTES || now_ns - t->last_ns < PAUSE_NS)
        return;
    t->freed_bytes = 0;
    t->last_ns = now_ns;
    t->task.done = done;
    task_start(&t->task, trim, loop, NULL); /* with no worker, the next burst will do */
}
