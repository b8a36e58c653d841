/* Base64 (RFC 4648, section 4): the standard alphabet, padded. Pure functions, any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_BASE64_H
#define API_BASE64_H

#include "engine/base/buf.h"

/* Appends the digits of len bytes. */
void base64_put(struct buf *out, const char *s, size_t len);

/* Appends what len digits stand for; false, with nothing appended, when they are not what
 * base64_put writes. Running out of memory is out->failed. */
bool base64_read(struct buf *out, const char *digits, size_t len);

#endif
