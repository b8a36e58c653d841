/* The sizes, and the limit that they follow from.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/request_memory.h"

#include "api/body.h"
#include "engine/base/cgroup.h"

#include <unistd.h>

static const size_t DEFAULT_LEAST = 64u << 20, DEFAULT_MOST = 512u << 20;
static const size_t HEAD_BYTES = 64u << 10; /* of one connection, generously */
enum { ENCODE_FACTOR = 32 }; /* bytes that tokenising takes for each of a text's */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What the machine has or the control group allows. */
static size_t process_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t machine = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : DEFAULT_MOST;
    return smaller(machine, cgroup_memory_limit(CGROUP_MEMBERSHIP, CGROUP_MOUNT));
}

size_t request_memory_default(size_t process_bytes)
{
    size_t share = smaller(process_bytes / 8, DEFAULT_MOST);
    return share > DEFAULT_LEAST ? share : DEFAULT_LEAST;
}

int request_memory_plan(struct request_memory *m, const struct config *cfg,
                        struct err *err)
{
    size_t body = cfg->max_body_bytes;
    size_t limit =
        cfg->request_bytes ? cfg->request_bytes : request_memory_default(process_limit());
    *m = (struct request_memory){.limit_bytes = limit,
                                 .tree_bytes = body_bytes(body),
                                 .work_bytes = ENCODE_FACTOR * body};
    size_t need = m->tree_bytes + 2 * body + HEAD_BYTES; /* a body grows by doubling */
    if (need <= limit)
        return 0;
    return err_param(err, ERR_ARGUMENT, "request_bytes",
                     "request_bytes: expected at least %zu, which a body of "
                     "max_body_bytes (%zu) takes while it is parsed, found %zu",
                     need, body, limit);
}

size_t request_memory_reserved(const struct request_memory *m)
{
    return m->limit_bytes + m->work_bytes;
}
