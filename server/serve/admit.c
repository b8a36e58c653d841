/* The queue's limit. The drain rate is an exponential average over RATE_SECONDS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/admit.h"

#include <math.h>

static const double RATE_SECONDS = 10;
enum { RETRY_MIN = 1, RETRY_MAX = 30, RETRY_UNKNOWN = 5 };

static bool has_room(const struct admit *a, int n)
{
    if (a->waiting + a->running == 0)
        return true;
    int spare = a->max_seqs > a->seqs ? a->max_seqs - a->seqs : 0;
    return a->waiting + n <= a->queue_limit + spare;
}

int admit_take(struct admit *a, int n, struct err *err)
{
    if (!has_room(a, n))
        return err_set(err, ERR_BUSY, "the queue is full: %d of %d wait; retry later",
                       a->waiting, a->queue_limit);
    a->waiting += n;
    return 0;
}

void admit_started(struct admit *a, int n_seqs)
{
    a->waiting--;
    a->running++;
    a->seqs += n_seqs;
}

static double rate_now(const struct admit *a, uint64_t now_ns)
{
    double seconds = now_ns > a->rate_ns ? (double)(now_ns - a->rate_ns) / 1e9 : 0;
    return a->rate * exp(-seconds / RATE_SECONDS);
}

void admit_ended(struct admit *a, bool started, int n_seqs, uint64_t now_ns)
{
    if (started) {
        a->running--;
        a->seqs -= n_seqs;
    } else {
        a->waiting--;
    }
    a->rate = rate_now(a, now_ns) + 1 / RATE_SECONDS;
    a->rate_ns = now_ns;
}

int admit_retry_after(const struct admit *a, uint64_t now_ns)
{
    if (!a->rate_ns)
        return RETRY_UNKNOWN; /* nothing has ended yet */
    double seconds = ceil((a->waiting + 1) / fmax(rate_now(a, now_ns), 1e-3));
    return (int)fmin(fmax(seconds, RETRY_MIN), RETRY_MAX);
}
