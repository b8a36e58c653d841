/*
 * The process's log: one JSON object a line on stderr, with time, level and event name.
 * json_log_line is a log_sink_fn: any thread; each line is one write, so lines never mix.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_JSON_LOG_H
#define SERVER_SERVE_JSON_LOG_H

#include "engine/base/log.h"

void json_log_line(enum log_level level, const char *event, const char *fields);

#endif
