/*
 * Walks over the directory of state objects, which set the ledger to what is there: when
 * the store is opened, once in a while because other processes may share the directory,
 * and before a quota refuses an object. Temporaries of dead writers are removed.
 *
 * A tenant's directory is walked under the ledger's `files`, so that nothing of this
 * process comes or goes meanwhile; what it is still writing is the ledger's to add. The
 * new state of the index is one merge. uv workers only, but for the store's opening.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_STORAGE_OBJECT_SCAN_H
#define SERVER_STORAGE_OBJECT_SCAN_H

#include "server/storage/object_store.h"

/* ERR_IO, ERR_MEMORY: what was not seen stays as it was. */
int object_scan(const struct object_store *s, struct err *err);

/* The same unless a walk began a moment ago. True: there was one, and it saw all. */
bool object_scan_if_old(const struct object_store *s);

/* ---- one tenant's objects, `files` being locked ----------------------------- */

/* A directory t-<tenant>, open as dir_fd. Whether it is as it was when the ledger agreed
 * with it last; that the ledger agrees with it now. Who changes both asks before and notes
 * after: then a save sees by one fstat whether another process was there. */
bool object_scan_agrees(const struct object_store *s, int dir_fd, const char *dir);
void object_scan_note(const struct object_store *s, int dir_fd, const char *dir);

/* Walks this directory alone. ERR_IO, ERR_MEMORY. */
int object_scan_clients(const struct object_store *s, int dir_fd, const char *dir,
                        struct err *err);

#endif
