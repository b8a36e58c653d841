/* Framing of server-sent events (HTML standard, section 9.2).
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/sse.h"

void sse_begin(struct buf *out)
{
    buf_puts(out, "data: ");
}

void sse_begin_event(struct buf *out, const char *type)
{
    buf_printf(out, "event: %s\n", type);
    sse_begin(out);
}

void sse_end(struct buf *out)
{
    buf_puts(out, "\n\n");
}

void sse_done(struct buf *out)
{
    buf_puts(out, "data: [DONE]\n\n");
}

void sse_ping(struct buf *out)
{
    buf_puts(out, ":\n\n");
}
