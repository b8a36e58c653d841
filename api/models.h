/* The objects of GET /v1/models and /v1/models/{id}. Each function appends to out.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_MODELS_H
#define API_MODELS_H

#include "api/api.h"
#include "engine/base/buf.h"

/* created: unix seconds of the model's loading. */
void models_list(const struct api_limits *limits, int64_t created, struct buf *out);

/* The object of that id. ERR_MODEL when it is no served name. */
int models_one(const struct api_limits *limits, int64_t created, const char *id,
               size_t len, struct buf *out, struct err *err);

/* ERR_MODEL, param `model`, unless name[0..len) is a served name. */
int models_check(const struct api_limits *limits, const char *name, size_t len,
                 struct err *err);

#endif
