/* How the number of active threads falls and rises. The pool's caller runs it. */
#include "engine/kernel/active_threads.h"

#include <stdbool.h>

enum {
    REST_NS = 40 * 1000000,      /* before the number rises, at first */
    REST_MAX_NS = 160 * 1000000, /* longer would waste processors that are free again */
    BAD_LOOKS = 2                /* in a row; a single one may be chance */
};

void active_threads_init(struct active_threads *c, int n_threads)
{
    *c = (struct active_threads){
        .n_threads = n_threads, .n_active = n_threads, .rest_ns = REST_NS};
}

static uint64_t at_most(uint64_t x, uint64_t limit)
{
    return x < limit ? x : limit;
}

/* Falls by the number of missing processors, at least by one; the caller always runs. */
static void shrink(struct active_threads *c, uint64_t now_ns, uint64_t n_missing)
{
    uint64_t spare = (uint64_t)c->n_active - 1;
    c->n_active -= (int)at_most(n_missing > 0 ? n_missing : 1, spare);
    c->n_bad = 0;
    c->until_ns = now_ns + c->rest_ns;
    c->rest_ns = at_most(2 * c->rest_ns, REST_MAX_NS);
}

/* Rises by one; once all threads have run for a while, the next rest is short again. */
static void grow(struct active_threads *c, uint64_t now_ns)
{
    if (c->n_active < c->n_threads)
        c->n_active++;
    else
        c->rest_ns = REST_NS;
    c->until_ns = now_ns + REST_NS;
}

/* When one thread waits for a processor, all others soon wait for it. With a share s of
 * the time lost so, n threads run at 1 - s of their speed; n - 1 threads run at 1 - 1/n
 * of it where arithmetic is the bound, and lose less where memory is. */
static bool loses_more_than_a_thread(const struct active_threads *c, uint64_t waited,
                                     uint64_t elapsed)
{
    return 5 * waited * (uint64_t)c->n_active > 4 * elapsed;
}

void active_threads_observe(struct active_threads *c, uint64_t now_ns, uint64_t waited_ns)
{
    uint64_t elapsed = now_ns - c->looked_ns, waited = waited_ns - c->waited_ns;
    c->looked_ns = now_ns;
    c->waited_ns = waited_ns;
    c->n_bad = loses_more_than_a_thread(c, waited, elapsed) ? c->n_bad + 1 : 0;
    if (c->n_bad >= BAD_LOOKS)
        shrink(c, now_ns, elapsed ? waited / elapsed : 0);
    else if (c->n_bad == 0 && now_ns >= c->until_ns)
        grow(c, now_ns);
}
