/* The listening socket. Start of the process, main thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HTTP_LISTEN_H
#define SERVER_HTTP_LISTEN_H

#include "engine/base/err.h"

/* Binds and listens; answers the descriptor, the caller's to close, and the port it got
 * in *bound. ERR_ARGUMENT for a host that is none, ERR_IO naming host and port, e.g. a
 * taken one. */
int listen_open(const char *host, int port, int *bound, struct err *err);

#endif
