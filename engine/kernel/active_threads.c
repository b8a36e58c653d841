/* How the number of active threads falls and rises. The pool's caller runs it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/active_threads.h"

#include <stdbool.h>

enum {
    REST_NS = 40 * 1000000,      /* before the number rises, at first */
    REST_MAX_NS = 160 * 1000000, /* longer would waste processors that are free again */
    BAD_LOOKS = 2                /* in a row; a single one may be chance */
};

void active_threads_init(struct active_threads *a, int n_threads)
{
    *a = (struct active_threads){
        .n_threads = n_threads, .n_active = n_threads, .rest_ns = REST_NS};
}

static uint64_t at_most(uint64_t x, uint64_t limit)
{
    return x < limit ? x : limit;
}

/* Falls by the number of missing processors, at least by one; the caller always runs. */
static void shrink(struct active_threads *a, uint64_t now_ns, uint64_t n_missing)
{
    uint64_t spare = (uint64_t)a->n_active - 1;
    a->n_active -= (int)at_most(n_missing > 0 ? n_missing : 1, spare);
    a->n_bad = 0;
    a->until_ns = now_ns + a->rest_ns;
    a->rest_ns = at_most(2 * a->rest_ns, REST_MAX_NS);
}

/* Rises by one; once all threads have run for a while, the next rest is short again. */
static void grow(struct active_threads *a, uint64_t now_ns)
{
    if (a->n_active < a->n_threads)
        a->n_active++;
    else
        a->rest_ns = REST_NS;
    a->until_ns = now_ns + REST_NS;
}

/* When one thread waits for a processor, all others soon wait for it. With a share s of
 * the time lost so, n threads run at 1 - s of their speed; n - 1 threads run at 1 - 1/n
 * of it where arithmetic is the bound, and lose less where memory is. */
static bool loses_more_than_a_thread(const struct active_threads *a, uint64_t waited,
                                     uint64_t elapsed)
{
    return 5 * waited * (uint64_t)a->n_active > 4 * elapsed;
}

void active_threads_observe(struct active_threads *a, uint64_t now_ns, uint64_t waited_ns)
{
    uint64_t elapsed = now_ns - a->looked_ns, waited = waited_ns - a->waited_ns;
    a->looked_ns = now_ns;
    a->waited_ns = waited_ns;
    a->n_bad = loses_more_than_a_thread(a, waited, elapsed) ? a->n_bad + 1 : 0;
    if (a->n_bad >= BAD_LOOKS)
        shrink(a, now_ns, elapsed ? waited / elapsed : 0);
    else if (a->n_bad == 0 && now_ns >= a->until_ns)
        grow(a, now_ns);
}
