/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/shape_case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

int shape_case_open(struct model *model, const char *members, const char *more,
                    struct err *err)
{
    char text[4096], path[512];
    snprintf(text, sizeof text, "{%s%s%s}", members, *more ? "," : "", more);
    maker_text(&made_folder, "shape.json", text);
    snprintf(path, sizeof path, "%s", maker_path(&made_folder, "shape.json"));
    return model_open(model, &(struct model_options){.shape = path}, err);
}

void shape_case_expect_faults(const char *members, const struct shape_fault *faults,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct model model;
        struct err err = {0};
        int rc = shape_case_open(&model, members, faults[i].more, &err);
        if (rc == 0)
            model_close(&model);
        if (rc != -ERR_FORMAT)
            fail_msg("%s: expected a refusal, found %d %s", faults[i].more, rc, err.text);
        for (int k = 0; k < 3 && faults[i].says[k]; k++)
            if (!strstr(err.text, faults[i].says[k]))
                fail_msg("%s: \"%s\" does not say \"%s\"", faults[i].more, err.text,
                         faults[i].says[k]);
    }
}
