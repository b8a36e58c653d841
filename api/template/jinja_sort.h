/*
 * Filters that order: sort, dictsort, unique, min, max. They have the form of a row
 * (jinja_builtin.h). Texts are compared without case unless case_sensitive is given.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_SORT_H
#define API_TEMPLATE_JINJA_SORT_H

#include "api/template/jinja_builtin.h"

jinja_builtin_fn jinja_sort, jinja_sort_dict, jinja_sort_unique, jinja_sort_min,
    jinja_sort_max;

#endif
