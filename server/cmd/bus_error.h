/*
 * What happens when a model file shrinks, or its disk fails, while it is mapped: the next
 * read of it is a SIGBUS, on whatever thread. The process ends with a message that names
 * the file and exit code 1, not with a core. Any other SIGBUS is left to the system.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_BUS_ERROR_H
#define SERVER_CMD_BUS_ERROR_H

/* Installs the handler, for the whole process. Main thread, at start. */
void bus_error_install(void);

#endif
