/*
 * Structured log lines: level, event name, JSON fields. The sink is set once by the
 * process before threads start; it adds the time and writes. Without a sink lines are
 * dropped, so a library user hears nothing. No prompt text is ever passed here by
 * default.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_LOG_H
#define ENGINE_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* fields: JSON members without braces, e.g. "\"port\":8080", or "". Called from any
 * thread. */
typedef void log_sink_fn(enum log_level level, const char *event, const char *fields);

void log_set_sink(log_sink_fn *sink);
void log_set_level(enum log_level level); /* lines above it are dropped; any thread */
bool log_enabled(enum log_level level);

/* fmt prints the JSON members; strings in them must be plain or escaped by the caller. */
void log_line(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A line with one member "message" holding text of any content, escaped here. */
void log_text(enum log_level level, const char *event, const char *text);

#endif
