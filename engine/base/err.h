/*
 * An error: what went wrong, written once, where the values are known.
 *
 * Fallible functions return 0 or -code and take `struct err *err` last. The struct is the
 * caller's, usually on its stack; nothing in it is allocated. The text names the field,
 * file or tensor, what was expected and what was found. It never holds a pointer or
 * another request's data, for it may be shown to a client.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_ERR_H
#define ENGINE_BASE_ERR_H

#include <stddef.h>

enum err_code {
    ERR_NONE,
    ERR_ARGUMENT,      /* a value is wrong: type, range, vocabulary            400 */
    ERR_CONTEXT,       /* prompt + max_tokens beyond the context               400 */
    ERR_BUDGET,        /* worst case beyond the whole memory budget            400 */
    ERR_UNSUPPORTED,   /* known, but not honoured here                         400 */
    ERR_THREAD,        /* a conversation that the server would store           400 */
    ERR_TEMPLATE,      /* the chat template fails on these messages            400 */
    ERR_NO_TEMPLATE,   /* the model has no chat template                       400 */
    ERR_AUTH,          /* missing or wrong key                                 401 */
    ERR_NOT_FOUND,     /* no such route or object                              404 */
    ERR_MODEL,         /* no such model                                        404 */
    ERR_METHOD,        /* route exists, method does not                        405 */
    ERR_TIMEOUT,       /* the body did not arrive in time                      408 */
    ERR_CONFLICT,      /* a state object does not match                        409 */
    ERR_TOO_LARGE,     /* body over its limit                                  413 */
    ERR_COMPLEX,       /* body of too many JSON values                         413 */
    ERR_QUOTA,         /* no room left for a tenant's state objects            413 */
    ERR_URI,           /* URI over its limit                                   414 */
    ERR_MEDIA,         /* not JSON, or an encoded body                         415 */
    ERR_BUSY,          /* queue or budget full for now                         429 */
    ERR_HEADERS,       /* header block over its limit                          431 */
    ERR_UNAVAILABLE,   /* loading, draining, engine dead                       503 */
    ERR_STORAGE,       /* a disk is full or read-only                          507 */
    ERR_IO,            /* the operating system refused                         500 */
    ERR_FORMAT,        /* a file's content is not what its format says         500 */
    ERR_TEMPLATE_FILE, /* the chat template cannot be compiled                 500 */
    ERR_MEMORY,        /* out of memory                                        500 */
    ERR_INTERNAL,      /* a fault of ours                                      500 */
    ERR_N_CODES
};

struct err {
    enum err_code code;
    char param[64]; /* request field or configuration key, "" = none */
    char text[512];
};

/* Writes code and text, leaves param empty. `err` may be NULL. Returns -code. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set, naming the request field or configuration key at fault. */
int err_param(struct err *err, enum err_code code, const char *param, const char *fmt,
              ...) __attribute__((format(printf, 4, 5)));

/* ERR_MEMORY, "out of memory". */
int err_no_memory(struct err *err);

/* ERR_STORAGE for the errno of a write to a disk that is full or read-only, else ERR_IO.
 * Missing permission is ERR_IO: no client can do anything about it. */
enum err_code err_of_errno(int why);

/* Puts "prefix: " before the text, e.g. the file's name. Returns -code. */
int err_prefix(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
