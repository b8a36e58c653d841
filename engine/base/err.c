/* Error text. Truncates at the struct's size on a whole character; allocates nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts an incomplete UTF-8 sequence off the end, so that a truncated text stays valid. */
static void trim_partial(char *text, size_t cap, int wanted)
{
    if (wanted < 0 || (size_t)wanted < cap)
        return;
    size_t n = strlen(text);
    while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
        n--;
    if (n > 0 && (unsigned char)text[n - 1] >= 0xC0)
        n--;
    text[n] = '\0';
}

static int set_va(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
    if (err) {
        err->code = code;
        err->param[0] = '\0';
        int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
        trim_partial(err->text, sizeof err->text, n);
    }
    return -(int)code;
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = set_va(err, code, fmt, ap);
    va_end(ap);
    return rc;
}

int err_param(struct err *err, enum err_code code, const char *param, const char *fmt,
              ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = set_va(err, code, fmt, ap);
    va_end(ap);
    if (err)
        snprintf(err->param, sizeof err->param, "%s", param);
    return rc;
}

int err_no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory");
}

enum err_code err_of_errno(int why)
{
    switch (why) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EFBIG: /* RLIMIT_FSIZE, or the file system's own limit */
        return ERR_STORAGE;
    default:
        return ERR_IO;
    }
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -(int)ERR_INTERNAL;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof err->text)
        n = (int)strlen(err->text);
    size_t room = sizeof err->text - (size_t)n;
    int m = snprintf(err->text + n, room, ": %s", old);
    trim_partial(err->text, room, m);
    return -(int)err->code;
}
