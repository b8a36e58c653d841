/*
 * This process's figures from /proc, its file limit, and messages to the service manager.
 * Linux.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_PROCESS_H
#define SERVER_SERVE_PROCESS_H

#include <stdint.h>

struct process_stats { /* 0 where /proc does not say */
    double cpu_seconds, start_unix_seconds;
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};

/* Reads /proc/self. Any thread. */
void process_stats(struct process_stats *out);

/* Raises the soft limit of open files to the hard one; returns the limit in force. */
uint64_t process_raise_files(void);

/* Sends a state such as "READY=1" to the service manager, if there is one. */
void process_notify(const char *state);

#endif
