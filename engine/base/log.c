/* Log lines to the process's sink. Allocates only in log_text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/log.h"

#include "engine/base/buf.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static log_sink_fn *the_sink;
static atomic_int the_level = LOG_INFO;

void log_set_sink(log_sink_fn *sink)
{
    the_sink = sink;
}

void log_set_level(enum log_level level)
{
    atomic_store(&the_level, (int)level);
}

bool log_enabled(enum log_level level)
{
    return the_sink &&
           (int)level <= atomic_load_explicit(&the_level, memory_order_relaxed);
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char fields[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(fields, sizeof fields, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof fields)
        snprintf(fields, sizeof fields, "\"log_error\":\"line too long\"");
    the_sink(level, event, fields);
}

void log_text(enum log_level level, const char *event, const char *text)
{
    if (!log_enabled(level))
        return;
    struct buf b = {0};
    buf_puts(&b, "\"message\":");
    buf_json_string(&b, text, strlen(text));
    the_sink(level, event, b.failed ? "\"message\":null" : b.data);
    buf_free(&b);
}
