/* What a program asks for: a member of the body, else of the query; under its name in camelCase, as given, or in
 * snake_case. */
#ifndef RW_CONTROL_HTTP_ASKED_H
#define RW_CONTROL_HTTP_ASKED_H

#include "mesh/control/http/api.h"

/* Into out; false: it is not there. A number becomes its text. */
bool asked_text(const struct api_call *c, const char *name, char *out, size_t cap);
bool asked_flag(const struct api_call *c, const char *name);
/* A list of texts, or one, joined by commas. false: too long. "" when it is not there. */
bool asked_list(const struct api_call *c, const char *name, char *out, size_t cap);
/* The same of a list that the request is all about: one that it does not name is not taken for one without anything in it,
 * as [] and null are. false: answered, it is missing or too long. */
bool asked_whole_list(struct api_call *c, const char *name, char *out, size_t cap);
/* A number above 0; 0: not there, or none. */
int64_t asked_number(const struct api_call *c, const char *name);
/* A time; `none` when it is not there or null. false: answered, it is no time. */
bool asked_when(struct api_call *c, const char *name, int64_t none, int64_t *out);
/* How long what is made lasts, in milliseconds: a number or its text, up to 100 years; 0 = for ever. `none` when it is not
 * there or null. false: answered, it is none of these. */
bool asked_lifetime(struct api_call *c, const char *name, uint64_t none, uint64_t *out);
/* The number that stands for the {} with this index. false: answered, it is none. */
bool asked_part_id(struct api_call *c, size_t i, int64_t *out);

/* Answers of changes that are stored: {}. */
json_t *made_nothing(const struct api *a, const struct registry_result *res, const char *text);

#endif
