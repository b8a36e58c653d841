/*
 * Calls behind one start mark: one or several, in brackets or not, with a separator or
 * with blanks between them, and an end mark that may be missing. The grammar that five
 * forms share; what one call is, the form says (tool_form.unit).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TOOLS_TOOL_LIST_H
#define API_TOOLS_TOOL_LIST_H

#include "api/tools/tool_scan.h"

/* tool_form.begin and .behind. */
enum tool_step tool_list_begin(struct tool_scan *s);
enum tool_step tool_list_behind(struct tool_scan *s);

/* Behind a separator, where a broken list may go on with a call. */
enum tool_step tool_list_resume(struct tool_scan *s);

#endif
