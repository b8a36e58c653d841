/*
 * Filters of lists: choosing, mapping, joining. They have the form of a row
 * (jinja_builtin.h). Those that are generators in jinja2 answer an ITERATOR.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_SELECT_H
#define API_TEMPLATE_JINJA_SELECT_H

#include "api/template/jinja_builtin.h"

jinja_builtin_fn jinja_select, jinja_select_reject, jinja_select_attr,
    jinja_select_rejectattr, jinja_select_map, jinja_select_items, jinja_select_list,
    jinja_select_first, jinja_select_last, jinja_select_join, jinja_select_reverse,
    jinja_select_sum;

#endif
