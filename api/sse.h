/* Server-sent events: framing only. Each function appends to out.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_SSE_H
#define API_SSE_H

#include "engine/base/buf.h"

void sse_begin(struct buf *out); /* "data: "; one line of JSON follows */
/* The same of an event with a type: "event: TYPE" and a newline before it. */
void sse_begin_event(struct buf *out, const char *type);
void sse_end(struct buf *out);  /* two newlines */
void sse_done(struct buf *out); /* the last event of a good stream: data: [DONE] */
void sse_ping(struct buf *out); /* a comment that keeps a silent stream alive */

#endif
