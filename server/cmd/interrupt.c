/* Flags set by handlers; ppoll opens the mask while it waits.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { N_SIGNALS = sizeof signals / sizeof *signals };

static volatile sig_atomic_t stopped, ended; /* the signal's number, or 0 */
static sigset_t before;                      /* the mask of a wait */
static bool installed;

static void note(int signum)
{
    *(signum == SIGINT ? &stopped : &ended) = signum;
}

static void handle(void (*handler)(int))
{
    struct sigaction act = {.sa_handler = handler};
    sigemptyset(&act.sa_mask);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaction(signals[i], &act, NULL);
}

void interrupt_install(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < N_SIGNALS; i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, &before);
    handle(note);
    installed = true;
}

void interrupt_uninstall(void)
{
    handle(SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    installed = false;
}

int interrupt_poll(int fd, short events, int timeout_ms)
{
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int n = -1;
    while (n < 0 && !interrupt_seen()) {
        n = ppoll(&poll_fd, 1, timeout_ms < 0 ? NULL : &limit,
                  installed ? &before : NULL);
        if (n < 0 && errno != EINTR)
            return 1; /* what is done next fails and says why */
    }
    return n;
}

enum interrupt interrupt_seen(void)
{
    return ended ? INTERRUPT_END : stopped ? INTERRUPT_STOP : INTERRUPT_NONE;
}

void interrupt_clear(void)
{
    stopped = 0;
}

int interrupt_exit_code(void)
{
    return ended ? 128 + ended : stopped ? 128 + stopped : 0;
}
