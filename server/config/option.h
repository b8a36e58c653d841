/*
 * A table of options: reading a value from text or JSON into a struct, and its names in
 * the environment and among the flags. (option_print.h prints a table.)
 *
 * A row names a field of a plain struct by its offset. Names may be dotted ("state.dir"):
 * such keys are members of a nested object in JSON, and rows with one prefix stand
 * together in the table. Nothing here knows which options exist; config.c does. One
 * thread, no global state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CONFIG_OPTION_H
#define SERVER_CONFIG_OPTION_H

#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/json.h"

#include <stdbool.h>
#include <stddef.h>

enum option_type {
    OPTION_STRING, /* const char *; min and max bound its length, names its value if given
                    */
    OPTION_INT,    /* int; names are words for it, stored as -1, -2, … */
    OPTION_BYTES,  /* size_t; text may carry a unit: 512MiB */
    OPTION_SECONDS, /* double */
    OPTION_CHOICE,  /* an enum, stored as its place in names */
    OPTION_LIST     /* struct option_list; text is separated by commas */
};

struct option_list {
    const char *const *items; /* borrows from the arena */
    size_t n;
};

struct option_row {
    const char *name; /* JSON name, "port" or "state.dir" */
    enum option_type type;
    size_t offset;   /* of the field */
    double min, max; /* inclusive */
    const char *const
        *names;          /* NULL-terminated; for CHOICE, STRING with fixed values, INT
                          * with words beside its numbers */
    bool secret;         /* masked when printed and in errors */
    const char *initial; /* default, as text */
    unsigned group;      /* one bit; chooses rows for a command */
    const char *section; /* heading in the help */
    const char *value;   /* placeholder in the help */
    const char *help;    /* one line, without the default */
};

struct options {
    const struct option_row *rows;
    size_t n;
    void *base;          /* the struct that holds the fields */
    struct arena *arena; /* receives strings */
};

enum { OPTION_NAME_CAP = 64 };

/* "state.dir" -> "SSMD_STATE_DIR" and "--state-dir". */
void option_env_name(const struct option_row *row, char out[OPTION_NAME_CAP]);
void option_flag_name(const struct option_row *row, char out[OPTION_NAME_CAP]);

/* The row with that flag or environment name, or NULL. name need not end after len. */
const struct option_row *option_by_flag(const struct options *o, const char *name,
                                        size_t len);
const struct option_row *option_by_env(const struct options *o, const char *name,
                                       size_t len);

/* Sets every field to its default. The table's own mistakes surface here. */
int option_defaults(const struct options *o, struct err *err);

/* Reads text into the row's field. `where` tells the user what set it, e.g. "--port".
 * ERR_ARGUMENT with param = the key; the field is then unchanged. */
int option_set(const struct options *o, const struct option_row *row, const char *text,
               const char *where, struct err *err);

/* Reads a whole JSON document. Unknown keys and wrong types are errors; a key "//" is a
 * comment, whatever its value. */
int option_set_json(const struct options *o, const struct json *root, const char *where,
                    struct err *err);

#endif
