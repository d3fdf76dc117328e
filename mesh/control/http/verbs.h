/* Arguments of the admin's verbs, and an answer that several have. */
#ifndef RW_CONTROL_HTTP_VERBS_H
#define RW_CONTROL_HTTP_VERBS_H

#include "mesh/control/http/api.h"

const char *verb_text(const struct api_call *c, const char *name); /* "" = not given, or no text */
bool verb_flag(const struct api_call *c, const char *name);
int64_t verb_number(const struct api_call *c, const char *name); /* 0 = not given, or no number */
/* A node as nodes/list has it; NULL: memory is short. */
json_t *verb_node(const struct api *a, const struct member *m);
/* Whether who asks may see and change it: api_call.own. */
bool verb_may_touch(const struct api_call *c, const struct member *m);
json_t *verb_deleted(const struct api *a, const struct registry_result *res, const char *text);

#endif
