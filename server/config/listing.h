/*
 * An option table as text: the JSON of --print-config and configs/default.json, and the
 * help. Pure functions into a buf; a failed growth shows in the buf.
 */
#ifndef SERVER_CONFIG_LISTING_H
#define SERVER_CONFIG_LISTING_H

#include "engine/base/buf.h"
#include "server/config/option.h"

/* All fields as a JSON object, one a line, dotted names as nested objects. Secrets that
 * are set print as "***". */
void listing_json(const struct options *o, struct buf *out);

/* Flags of the rows in `groups` under their sections, with defaults. */
void listing_help(const struct options *o, unsigned groups, struct buf *out);

/* One flag's line, aligned with those of listing_help. value NULL: a switch. */
void listing_flag(struct buf *out, const char *flag, const char *value, const char *help);

#endif
