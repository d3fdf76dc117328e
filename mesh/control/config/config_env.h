/* Settings from the environment, as Headscale has them: HEADSCALE_DNS_BASE_DOMAIN is dns.base_domain. A variable that is empty
 * is not set. */
#ifndef RW_CONTROL_CONFIG_ENV_H
#define RW_CONTROL_CONFIG_ENV_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"

enum config_env_form {
	CONFIG_ENV_TEXT,  /* one value */
	CONFIG_ENV_LIST,  /* several, blanks or commas between */
	CONFIG_ENV_JSON,  /* a mapping or a list, as JSON */
	CONFIG_ENV_BELOW, /* all the variables below the key, one value each: a mapping */
};
struct config_env_item {
	char name[96];	 /* of the variable; of the first one, where there are several */
	struct buf text; /* a YAML document that is the value; empty = not set. The caller wipes it */
};
/* 0 or an error. */
int config_env_get(
	const char *key, enum config_env_form form, struct config_env_item *out, struct errbuf *eb);
/* The same, as a mapping with this one member of a section: below "derp.server" and "enabled", {enabled: VALUE}. */
int config_env_member(
	const char *section, const char *member, struct config_env_item *out, struct errbuf *eb);

#endif
