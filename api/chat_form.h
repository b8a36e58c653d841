/*
 * How a template writes calls: whether arguments go in as an object, and the form that
 * the answer's parser has to read (chat.md's table). Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_FORM_H
#define API_CHAT_FORM_H

#include "api/chat_trial.h"

/* Finds traits->calls and ->objects. */
void chat_form_arguments(struct chat_trial *p, struct chat_traits *traits);

/* Finds traits->tools and ->format, by the text around a call, or of a template that
 * drops calls by what it tells the model about them. */
void chat_form_find(struct chat_trial *p, struct chat_traits *traits);

#endif
