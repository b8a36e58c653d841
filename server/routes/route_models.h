/* GET /v1/models and /v1/models/{id}. Loop thread; answered at once.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_MODELS_H
#define SERVER_ROUTES_ROUTE_MODELS_H

#include "server/serve/conn.h"

extern const struct route_ops route_models_list, route_models_one;

#endif
