/*
 * What the log says of an engine that was opened: its memory plan, and what is so small
 * that a part of it does no work. Loop thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_START_LOG_H
#define SERVER_SERVE_START_LOG_H

#include "engine/engine.h"
#include "server/serve/keys.h"
#include "server/serve/request_memory.h"

void start_log_plan(const struct engine_info *i, const struct request_memory *m);

/* A line for each tenant whose checkpoint_bytes hold no checkpoint; also after a reload. */
void start_log_tenants(const struct keys *k, const struct engine_info *i);

#endif
