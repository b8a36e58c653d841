/*
 * An option table as text: the JSON of --print-config and configs/default.json, and the
 * help. Pure functions into a buf; a failed growth shows in the buf.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CONFIG_OPTION_PRINT_H
#define SERVER_CONFIG_OPTION_PRINT_H

#include "engine/base/buf.h"
#include "server/config/option.h"

/* All fields as a JSON object, one a line, dotted names as nested objects. Secrets that
 * are set print as "***". */
void option_print_json(const struct options *o, struct buf *out);

/* Flags of the rows in `groups` under their sections, with defaults. */
void option_print_help(const struct options *o, unsigned groups, struct buf *out);

/* One flag's line, aligned with those of option_print_help. value NULL: a switch. */
void option_print_flag(struct buf *out, const char *flag, const char *value,
                       const char *help);

#endif
