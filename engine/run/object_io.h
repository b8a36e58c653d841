/*
 * State objects in files and uploads: what identifies this engine's objects, leases
 * written to files and read from them, objects checked as they arrive. Any thread; of the
 * pools only what is leased (lease.h) is touched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_RUN_OBJECT_IO_H
#define ENGINE_RUN_OBJECT_IO_H

#include "engine/base/history.h"
#include "engine/model/model.h"
#include "engine/state/object.h"
#include "engine/types.h"

/* What the bits of this model's states depend on. */
struct object_kind object_io_kind(const struct model *m, uint64_t tokenizer_hash);

/* engine_object_*, engine_upload_*: see objects.h. kind is borrowed until close. */
void object_io_object_of(const struct object_kind *k, const struct engine_lease *s,
                         struct engine_object *out);
int object_io_save(const struct object_kind *k, const struct engine_lease *s, int fd,
                   const char *tenant, struct err *err);
int object_io_load(const struct object_kind *k, struct engine_lease *s, int fd,
                   const char *tenant, struct err *err);
int object_io_open_file(const struct object_kind *k, int fd, const char *tenant,
                        struct engine_object *out, struct history *said, struct err *err);
int object_io_peek(const struct object_kind *k, int fd, const char *tenant,
                   struct engine_object *out, struct err *err);
int object_io_open(struct engine_upload **out, const struct object_kind *k,
                   const char *tenant, struct err *err);
int object_io_put(struct engine_upload *in, const void *data, size_t len,
                  struct err *err);
int object_io_end(struct engine_upload *in, struct err *err);
const struct engine_object *object_io_object(struct engine_upload *in);
void object_io_close(struct engine_upload *in);

#endif
