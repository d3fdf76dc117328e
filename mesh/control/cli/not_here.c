#include "mesh/control/cli/not_here.h"

#include "mesh/base/err.h"
#include <stddef.h>
#include <string.h>

static const struct {
	const char *command, *instead;
} rows[] = {
	{ "oauth-clients", "the console makes OAuth clients, and POST /api/v2/tailnet/-/keys does" },
	{ "mockoidc", "a login is tried with a provider of your own" },
	{ "completion", "ropewalk-control --completion bash|zsh|fish prints that of ropewalk-control" },
};

const char *headscale_not_here(const char *command)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].command, command))
			return rows[i].instead;
	return NULL;
}
