/* Whole files. Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int read_stream(struct buf *out, FILE *f, size_t max_bytes, struct err *err)
{
    struct stat st;
    char part[16384];
    size_t n, start = out->len;
    if (fstat(fileno(f), &st) != 0)
        return err_set(err, ERR_IO, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT, "expected a regular file");
    buf_reserve(out, (size_t)st.st_size < max_bytes ? (size_t)st.st_size : 0);
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        buf_put(out, part, n);
        if (out->len - start > max_bytes)
            return err_set(err, ERR_FORMAT, "expected at most %zu bytes, found more",
                           max_bytes);
    }
    if (ferror(f))
        return err_set(err, ERR_IO, "read failed: %s", strerror(errno));
    return out->failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}

int file_read(struct buf *out, const char *path, size_t max_bytes, struct err *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return err_set(err, ERR_IO, "%.300s: %s", path, strerror(errno));
    int rc = read_stream(out, f, max_bytes, err);
    fclose(f);
    return rc ? err_prefix(err, "%.300s", path) : 0;
}
