/* The architectures that are served.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/arch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct arch *const arches[] = {&arch_transxssm, &arch_pha, &arch_llama,
                                            &arch_gss_hybrid, &arch_hedgehog};
enum { N_ARCHES = sizeof arches / sizeof *arches };

const struct arch *arch_find(const char *model_type)
{
    for (int i = 0; i < N_ARCHES; i++)
        if (strcmp(arches[i]->model_type, model_type) == 0)
            return arches[i];
    return NULL;
}

int arch_served(const char *model_type, struct err *err)
{
    char names[200] = "";
    if (arch_find(model_type))
        return 0;
    for (int i = 0; i < N_ARCHES; i++) {
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, "%s%s",
                 i == 0             ? ""
                 : i < N_ARCHES - 1 ? ", "
                                    : " or ",
                 arches[i]->model_type);
    }
    return err_set(err, ERR_FORMAT, "model_type: expected %s, found \"%.60s\"", names,
                   model_type);
}

bool arch_lists_layer(const struct json *list, int i)
{
    for (size_t k = 0; k < json_len(list); k++)
        if (json_as_int(json_at(list, k)) == i)
            return true;
    return false;
}

int arch_check_layers(const struct json *list, const char *key, int n_layers,
                      struct err *err)
{
    bool named[HPARAMS_MAX_LAYERS] = {false};
    for (size_t k = 0; k < json_len(list); k++) {
        int64_t i = json_as_int(json_at(list, k));
        if (i < 0 || i >= n_layers)
            return err_set(
                err, ERR_FORMAT,
                "config.json: %s: expected layers from 0 to %d, found %" PRId64, key,
                n_layers - 1, i);
        if (named[i])
            return err_set(err, ERR_FORMAT,
                           "config.json: %s: expected each layer once, found %" PRId64
                           " twice",
                           key, i);
        named[i] = true;
    }
    return 0;
}
