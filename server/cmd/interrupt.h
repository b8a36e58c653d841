/*
 * Signals of a command that talks to a person: Ctrl-C stops what is going on, SIGTERM and
 * SIGHUP end the command. They are blocked everywhere but in interrupt_poll, so that none
 * comes between a look at a flag and a wait. Main thread; the state is the process's.
 * Before interrupt_install, interrupt_poll is poll.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_INTERRUPT_H
#define SERVER_CMD_INTERRUPT_H

enum interrupt {
    INTERRUPT_NONE,
    INTERRUPT_STOP, /* SIGINT: until interrupt_clear */
    INTERRUPT_END   /* SIGTERM, SIGHUP: for good */
};

void interrupt_install(void);

/* Undoes it, in a child process before it becomes a server. */
void interrupt_uninstall(void);

/* Waits until fd is ready for `events` (fd -1: only waits), at most timeout_ms (-1: no
 * limit). 1 ready, 0 time is over, -1 interrupted, also by a signal that came before. */
int interrupt_poll(int fd, short events, int timeout_ms);

enum interrupt interrupt_seen(void);
void interrupt_clear(void);

/* The exit code of a command that a signal ended, as shells have it; 0 without one. */
int interrupt_exit_code(void);

#endif
