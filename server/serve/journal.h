/*
 * The process's log: one JSON object a line on stderr, with time, level and event name.
 * journal_line is a log_sink_fn: any thread; each line is one write, so lines never mix.
 */
#ifndef SERVER_SERVE_JOURNAL_H
#define SERVER_SERVE_JOURNAL_H

#include "engine/base/log.h"

void journal_line(enum log_level level, const char *event, const char *fields);

#endif
