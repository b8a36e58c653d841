/*
 * What no callback reports: clients that left a sleeping socket, requests and bodies that
 * take too long, answers that are not read, streams that are silent; and the routes' own ticks. Loop
 * thread, at each tick.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_REAPER_H
#define SERVER_SERVE_REAPER_H

#include "server/serve/server.h"

enum { REAPER_TICK_MS = 200 };

void reaper_tick(struct server *server, uint64_t now_ns);

#endif
