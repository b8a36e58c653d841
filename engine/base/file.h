/* Reading whole small files (configurations, tokenizers, keys) into a buf.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_FILE_H
#define ENGINE_BASE_FILE_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* Appends the file's bytes to out. ERR_IO when it cannot be read, ERR_FORMAT when it is
 * no regular file or larger than max_bytes, ERR_MEMORY; errors name the path. */
int file_read(struct buf *out, const char *path, size_t max_bytes, struct err *err);

#endif
