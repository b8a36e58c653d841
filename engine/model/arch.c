/* The supported architectures. */
#include "engine/model/arch.h"

#include <string.h>

static const struct arch *const arches[] = {&arch_transxssm, &arch_pha, &arch_llama};

int arch_find(const struct arch **out, const char *model_type, struct err *err)
{
    for (size_t i = 0; i < sizeof arches / sizeof *arches; i++) {
        if (strcmp(arches[i]->model_type, model_type) == 0) {
            *out = arches[i];
            return 0;
        }
    }
    return err_set(
        err, ERR_FORMAT,
        "config.json: model_type: expected TransXSSM, pha or llama, found \"%.60s\"",
        model_type);
}
