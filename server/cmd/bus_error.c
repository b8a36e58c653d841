/* The handler: async-signal-safe calls only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/bus_error.h"

#include "engine/base/mapping.h"
#include "server/cmd/cmd.h"

#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static struct iovec text(const char *s)
{
    return (struct iovec){(char *)(size_t)s, strlen(s)};
}

static void on_bus_error(int signum, siginfo_t *info, void *context)
{
    (void)signum, (void)context;
    const char *path = mapping_path(info->si_addr);
    if (!path)
        return; /* the read is repeated, and the default action is in force by now */
    struct iovec parts[] = {
        text("ssmd: "), text(path),
        text(": the file was truncated or cannot be read any more\n")};
    if (writev(STDERR_FILENO, parts, 3) < 0)
        _exit(CMD_FAILED); /* nowhere left to say so */
    _exit(CMD_FAILED);
}

void bus_error_install(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error,
                               .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
    sigaction(SIGBUS, &action, NULL);
}
