/* Texts with marks, as tests write them: {content}, and (content that may have added
 * tokens which are not special).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_MARKED_H
#define TESTS_LIB_MARKED_H

#include "engine/base/buf.h"
#include "engine/types.h"

enum { MARKED_MAX = 32 };

struct marked {
    struct engine_text text; /* of chars and marks */
    struct buf chars;        /* owns */
    struct text_mark marks[MARKED_MAX];
};

/* Takes the brackets out of a text. */
void marked_read(struct marked *m, const char *written);
void marked_free(struct marked *m);

#endif
