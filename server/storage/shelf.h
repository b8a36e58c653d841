/*
 * The shelf: checkpoints that the daemon keeps on disk by itself, for its next life
 * (state.persist). Ordinary state objects beside the clients' own, under no name that a
 * client can say:
 *
 *   DIR/p-<tenant>/s-<salt>/<depth>-<hash of the tokens, and of the model and its
 * formats>
 *
 * Names are the whole index: nothing but directories is read at open. A file is trusted
 * only after its tokens were compared and its checksums asked, by whoever loads it. They
 * count to the quotas of the store, and give way to what clients store there; the longest
 * unused go first.
 *
 * The index is the loop thread's; functions that are marked touch the disk only and are
 * for workers. Several processes may share DIR: each finds what was there at its start.
 */
#ifndef SERVER_STORAGE_SHELF_H
#define SERVER_STORAGE_SHELF_H

#include "server/storage/object_writer.h"

enum { SHELF_PATH_BYTES = 512 };

struct shelf_place {
    char path[SHELF_PATH_BYTES]; /* below DIR */
    int depth;
};

struct shelf_entry {
    uint64_t group, hash; /* of tenant and salt; of the tokens */
    uint64_t bytes, used; /* used: the greater, the later */
    int32_t depth;
    char *path; /* owns */
};

struct shelf {
    const struct object_store *store; /* borrows; NULL: there is no shelf */
    uint64_t kind; /* of the model and its formats: others' are not found here */
    struct shelf_entry *list; /* owns; by group and depth */
    size_t n, cap;
    uint64_t clock;
};

/* Indexes what is there; leftovers of dead writers are removed. ERR_IO, ERR_MEMORY. */
int shelf_open(struct shelf *s, const struct object_store *store, struct err *err);
void shelf_close(struct shelf *s); /* accepts zeroed */

/* Where the state after these tokens has its place. False: the salt is too long. */
bool shelf_place(struct shelf_place *out, const struct shelf *s, const char *tenant,
                 const char *salt, const int32_t *ids, int n);

/* The deepest that begins ids[0..n). */
bool shelf_find(struct shelf *s, const char *tenant, const char *salt, const int32_t *ids,
                int n, struct shelf_place *out);
bool shelf_has(const struct shelf *s, const struct shelf_place *place);

/* No memory: it is not found in this life. */
void shelf_add(struct shelf *s, const struct shelf_place *place, uint64_t bytes);
void shelf_drop(struct shelf *s, const struct shelf_place *place);

/* The longest unused, of the place's tenant or of all: dropped from the index. False:
 * there is none. */
bool shelf_oldest(struct shelf *s, const struct shelf_place *of_tenant,
                  struct shelf_place *out, uint64_t *bytes);

/* ---- workers ---------------------------------------------------------------- */

/* A descriptor, the caller's. ERR_NOT_FOUND, ERR_IO. */
int shelf_read(const struct object_store *s, const struct shelf_place *place,
               struct err *err);
void shelf_remove(const struct object_store *s, const struct shelf_place *place);

/* As object_writer_begin; on ERR_QUOTA *over says how many bytes are too many. */
struct shelf_excess {
    uint64_t tenant, all;
};
int shelf_begin(const struct object_store *s, struct object_writer *d,
                const struct shelf_place *place, uint64_t bytes,
                struct shelf_excess *over, struct err *err);

#endif
