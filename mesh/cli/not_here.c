#include "mesh/cli/not_here.h"
#include "mesh/base/err.h"
#include <stddef.h>
#include <string.h>

static const struct {
	const char *verb, *instead;
} rows[] = {
	{ "ssh", "use ssh itself, with the machine's name: names and addresses of the mesh are good "
		 "everywhere" },
	{ "nc", "use nc itself, with the machine's name: names and addresses of the mesh are good "
		"everywhere" },
	{ "serve", "programs that listen on this machine's mesh address are reached there already" },
	{ "funnel", "nothing of a mesh is opened to the internet by ropewalk; use a web server at its edge" },
	{ "cert", "certificates for names of the mesh are not made by ropewalk" },
	{ "web", "ropewalk status shows what a page would" },
	{ "configure", "ropewalk needs no more than ropewalk up" },
	{ "lock", "keys of machines are not signed by others here; the control server approves them" },
	{ "drive", "use any file server, on this machine's mesh address" },
	{ "update", "the package manager of this machine updates ropewalk" },
	{ "syspolicy", "there are no policies of the machine; ropewalk get shows the preferences" },
	{ "systray", "programs of others show what ropewalk status --json says" },
	{ "appc-routes", "ropewalk is no app connector" },
	{ "service", "services of several machines are not known here" },
	{ "routecheck", "ropewalk status says how each machine is reached" },
	{ "id-token", "ropewalk issues no tokens" },
	{ "licenses", "they are in /usr/share/doc of the package, and in docs/dependencies.md" },
};

const char *not_here(const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].verb, verb) == 0)
			return rows[i].instead;
	return NULL;
}
