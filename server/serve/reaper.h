/*
 * What nobody else notices: clients that left a sleeping socket, requests and bodies that
 * take too long, objects and streams that are not read, streams that are silent. Loop
 * thread, at each tick.
 */
#ifndef SERVER_SERVE_REAPER_H
#define SERVER_SERVE_REAPER_H

#include "server/serve/server.h"

enum { REAPER_TICK_MS = 200 };

void reaper_tick(struct server *server, uint64_t now_ns);

#endif
