/* Whether new requests are accepted, and the clock. Loop thread. A step that does not end
 * shows in readiness after `watchdog`, which costs nothing if it ends after all: a balancer
 * looks elsewhere. Only after STUCK_NS are requests refused for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/server.h"

static const uint64_t STUCK_NS = 60u * 1000000000ull;

uint64_t server_now(void)
{
    return uv_hrtime();
}

bool server_expired(uint64_t since_ns, uint64_t now_ns, double seconds)
{
    return seconds > 0 && now_ns > since_ns &&
           (double)(now_ns - since_ns) / 1e9 > seconds;
}

int server_accepts(const struct server *server, struct err *err)
{
    if (server->phase == SERVER_LOADING)
        return err_set(err, ERR_UNAVAILABLE, "the model is loading");
    if (server->phase >= SERVER_DRAINING)
        return err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
    if (bridge_stuck(server->model.bridge, STUCK_NS))
        return err_set(err, ERR_UNAVAILABLE, "the engine does not answer");
    return 0;
}

int server_ready(const struct server *server, struct err *err)
{
    int rc = server_accepts(server, err);
    if (rc)
        return rc;
    if (server->phase == SERVER_GRACE)
        return err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
    double limit = server->cfg->watchdog_s;
    if (limit > 0 && bridge_stuck(server->model.bridge, (uint64_t)(limit * 1e9)))
        return err_set(err, ERR_UNAVAILABLE, "a step of the engine does not end");
    return 0;
}
