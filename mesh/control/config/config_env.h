/* Settings from the environment, as Headscale has them: HEADSCALE_DNS_BASE_DOMAIN is dns.base_domain. */
#ifndef RW_CONTROL_CONFIG_ENV_H
#define RW_CONTROL_CONFIG_ENV_H

#include "mesh/base/buf.h"
#include "mesh/base/err.h"

enum config_env_form {
	CONFIG_ENV_NOT,	    /* cannot stand there, and is not looked for */
	CONFIG_ENV_TEXT,    /* one value */
	CONFIG_ENV_LIST,    /* several, blanks or commas between */
	CONFIG_ENV_SECTION, /* a part of the file that is read as a whole: its keys are refused */
};
struct config_env_item {
	char name[96]; /* of the variable */
	struct buf
		text; /* a document with this one key, as the file would have it; empty = the variable is not set. The
			    caller wipes it */
};
/* 0, or an error: of a section, one of its keys is set. */
int config_env_get(
	const char *key, enum config_env_form form, struct config_env_item *out, struct errbuf *eb);

#endif
