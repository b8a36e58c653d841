/* A file that is there says something: one that cannot be read is an error, not absent.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/generation_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 8 << 20 };

static int read_doc(struct generation_config *g, const struct json *doc, int vocab_size,
                    struct err *err)
{
    if (json_kind(doc) != JK_OBJECT)
        return err_set(err, ERR_FORMAT, "document: expected an object, found %s",
                       json_kind_name(doc));
    return token_ids_read(&g->ids, doc, vocab_size, err);
}

int generation_config_open(struct generation_config *g, const char *dir,
                           const struct token_ids *ids, int vocab_size, struct err *err)
{
    char path[4096];
    struct stat st;
    struct json *doc = NULL;
    *g = (struct generation_config){.ids = *ids};
    if (snprintf(path, sizeof path, "%s/generation_config.json", dir) >= (int)sizeof path)
        return err_set(err, ERR_ARGUMENT, "model folder: path longer than %zu bytes",
                       sizeof path);
    if (stat(path, &st) != 0 && errno == ENOENT)
        return 0;
    int rc = json_load(&doc, path, FILE_MAX_BYTES, err);
    if (rc)
        return rc;
    rc = read_doc(g, doc, vocab_size, err);
    json_free(doc);
    return rc ? err_prefix(err, "%.300s", path) : 0;
}
