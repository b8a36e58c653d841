/* The architectures that are served.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/arch.h"

#include <stdio.h>
#include <string.h>

static const struct arch *const arches[] = {&arch_transxssm, &arch_pha, &arch_llama};
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
