/*
 * A daemon of a command's own: this process forked, serving on a free port of loopback
 * with the command's configuration. It ends with its parent, however that ends. What it
 * logs goes to memory and is read for the port and for the reason when it fails. It has a
 * process group of its own, so that a terminal's Ctrl-C does not reach it. Main thread;
 * refuses to outlive child_server_stop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_CHILD_SERVER_H
#define SERVER_CMD_CHILD_SERVER_H

#include "engine/base/err.h"
#include "server/config/config.h"

#include <stdbool.h>
#include <sys/types.h>

struct child_server {
    pid_t pid;    /* 0: none runs */
    int log_fd;   /* what it wrote to stderr */
    char dir[40]; /* the directory of states when none was given; "" = none */
    int port;
};

/* Forks and waits until the daemon is ready. ERR_UNAVAILABLE with its exit status and
 * error text when it ends, or when the command is interrupted. child_server_stop is due
 * in any case. Before it standard output must not hold unwritten bytes. */
int child_server_start(struct child_server *s, const struct config *cfg, struct err *err);

/* Whether the daemon has ended, waiting a second for it; err then says why. */
bool child_server_ended(struct child_server *s, struct err *err);

/* Where the daemon keeps its states. */
const char *child_server_dir(const struct child_server *s, const struct config *cfg);

/* Ends the daemon by SIGTERM, at last by SIGKILL, and removes its own directory. */
void child_server_stop(struct child_server *s);

#endif
