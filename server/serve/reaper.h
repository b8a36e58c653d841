/*
 * What no callback reports: clients that left a sleeping socket, requests and bodies that
 * take too long, streams that are not read or are silent; and the routes' own ticks. Loop
 * thread, at each tick.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_REAPER_H
#define SERVER_SERVE_REAPER_H

#include "server/serve/server.h"

enum { REAPER_TICK_MS = 200 };

/* How long an object of so many bytes may be under way: body_timeout and its time at the
 * least rate that is waited for; 0: for ever. */
double reaper_object_seconds(const struct config *cfg, uint64_t bytes);

void reaper_tick(struct server *server, uint64_t now_ns);

#endif
