/* States on lease from the stand-in engine; see object.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_OBJECT_H
#define TESTS_FAKE_OBJECT_H

#include "engine/objects.h"
#include "engine/run/lease.h"

/* Before anything else here; at open. */
void fake_kind_init(int vocab_size);

/* engine_info.object_kind */
uint64_t fake_kind_hash(void);

/* A state of at most n_tokens tokens; NULL: out of memory. */
struct engine_lease *fake_state_new(size_t n_tokens);
void fake_state_free(struct engine_lease *s); /* accepts NULL */

#endif
