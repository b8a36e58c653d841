/* One line for each endpoint.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/routes.h"

#include "server/routes/route_chat.h"
#include "server/routes/route_completions.h"
#include "server/routes/route_messages.h"
#include "server/routes/route_models.h"
#include "server/routes/route_responses.h"
#include "server/routes/route_states.h"
#include "server/routes/route_status.h"
#include "server/routes/route_template.h"
#include "server/routes/route_tokenize.h"
#include "server/routes/route_transfer.h"
#include "server/routes/route_webpage.h"

static const struct route_ops *const endpoints[] = {
    [API_COMPLETIONS] = &route_completions,
    [API_CHAT] = &route_chat,
    [API_RESPONSES] = &route_responses,
    [API_TEMPLATE] = &route_template,
    [API_MODELS] = &route_models_list,
    [API_MESSAGES] = &route_messages,
    [API_MESSAGES_COUNT] = &route_template_count,
    [API_MODEL] = &route_models_one,
    [API_TOKENIZE] = &route_tokenize_encode,
    [API_DETOKENIZE] = &route_tokenize_decode,
    [API_STATES] = &route_states_list,
    [API_STATE_GET] = &route_transfer_get,
    [API_STATE_PUT] = &route_transfer_put,
    [API_STATE_DELETE] = &route_states_delete,
    [API_LIVEZ] = &route_status_live,
    [API_READYZ] = &route_status_ready,
    [API_METRICS] = &route_status_metrics,
};
_Static_assert(sizeof endpoints / sizeof *endpoints == API_KINDS, "a row is missing");

const struct route_ops *routes_find(const struct route *r)
{
    if (r->kind == ROUTE_API)
        return endpoints[r->api];
    return r->kind == ROUTE_PAGE ? &route_webpage : &route_status_options;
}
