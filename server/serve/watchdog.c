/* The counter of turns and the thread that watches it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/watchdog.h"

#include "engine/base/log.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { TICKS = 10 }; /* of one limit */

static void on_polled(uv_check_t *check) /* loop */
{
    struct watchdog *w = check->data;
    atomic_fetch_add_explicit(&w->turns, 1, memory_order_relaxed);
}

/* The loop may be late because it writes to a standard error that nobody reads: what would
 * block is not written. */
static void end_process(const struct watchdog *w)
{
    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&err, 1, 0) == 1)
        log_line(
            LOG_ERROR, "watchdog",
            "\"message\":\"the event loop has not turned for %g seconds; the process "
            "ends\"",
            w->limit_s);
    _exit(EXIT_FAILURE);
}

/* Sleeps for one tick; false: stop. */
static bool tick(struct watchdog *w)
{
    uv_mutex_lock(&w->lock);
    if (!w->stop)
        uv_cond_timedwait(&w->stopped, &w->lock, (uint64_t)(w->limit_s * 1e9 / TICKS));
    bool go_on = !w->stop;
    uv_mutex_unlock(&w->lock);
    return go_on;
}

static void watch(void *arg) /* watchdog */
{
    struct watchdog *w = arg;
    unsigned seen = 0;
    for (int late = 0; tick(w); late++) {
        unsigned now = atomic_load_explicit(&w->turns, memory_order_relaxed);
        if (now != seen)
            late = 0;
        else if (late >= TICKS)
            end_process(w);
        seen = now;
    }
}

int watchdog_open(struct watchdog *w, uv_loop_t *loop, double limit_s, struct err *err)
{
    *w = (struct watchdog){.limit_s = limit_s};
    if (limit_s <= 0)
        return 0;
    uv_mutex_init(&w->lock);
    uv_cond_init(&w->stopped);
    uv_check_init(loop, &w->polled);
    w->polled.data = w;
    uv_check_start(&w->polled, on_polled);
    w->open = true;
    if (uv_thread_create(&w->thread, watch, w) == 0)
        return 0;
    w->stop = true; /* there is no thread to join */
    return err_set(err, ERR_INTERNAL, "the watchdog's thread did not start");
}

void watchdog_close(struct watchdog *w)
{
    if (!w->open)
        return;
    uv_mutex_lock(&w->lock);
    bool started = !w->stop;
    w->stop = true;
    uv_cond_signal(&w->stopped);
    uv_mutex_unlock(&w->lock);
    if (started)
        uv_thread_join(&w->thread);
    uv_cond_destroy(&w->stopped);
    uv_mutex_destroy(&w->lock);
    uv_close((uv_handle_t *)&w->polled, NULL);
    w->open = false;
}
