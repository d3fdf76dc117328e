#include "mesh/cli/not_here.h"
#include "mesh/base/err.h"
#include <stdbool.h>
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

/* verbs: with a blank before and behind each. */
#define JOINS " up login set "
static const struct {
	const char *verbs, *option, *instead;
} options[] = {
	{ JOINS, "ssh", "use this machine's own sshd, which is reached by the mesh already" },
	{ " set ", "advertise-tags", "the network gives tags at a login: ropewalk up --advertise-tags" },
	{ " set ", "reset", "options change what they name and nothing else; ropewalk get shows the values" },
	{ " set ", "qr-format", "it is of ropewalk up, which shows codes" },
	{ JOINS, "nickname", "there is one login, which ropewalk switch shows" },
	{ JOINS, "auto-update", "the package manager of this machine updates ropewalk" },
	{ JOINS, "update-check", "the package manager of this machine knows the newest version" },
	{ JOINS, "webclient", "ropewalk status shows what a page would" },
	{ JOINS, "relay-server-port", "a relay is a program of its own, ropewalk-relay" },
	{ JOINS, "advertise-connector", "ropewalk is no app connector" },
	{ JOINS, "report-posture", "nothing of this machine's state is reported" },
	{ " status ", "web", "ropewalk status --json is for programs that show it" },
	{ " status ", "listen", "ropewalk status --json is for programs that show it" },
	{ " status ", "browser", "ropewalk status --json is for programs that show it" },
	{ " completion ", "flags", "options are offered as soon as a dash is typed" },
	{ " completion ", "descs", "zsh and fish show what a word is for, bash does not" },
	{ " netcheck ", "bind-address", "ropewalkd measures by the socket that it uses" },
	{ " netcheck ", "bind-port", "ropewalkd measures by the socket that it uses" },
	{ " version ", "upstream", "the package manager of this machine knows the newest version" },
	{ " bugreport ", "diagnose", "the file has all that would be looked at" },
	{ " bugreport ", "record", "journalctl -f -u ropewalkd shows what happens" },
};

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = strstr(words, word); at; at = strstr(at + 1, word))
		if (at[-1] == ' ' && at[n] == ' ')
			return true;
	return false;
}

const char *not_here_option(const char *verb, const char *option)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (!strcmp(options[i].option, option) && has_word(options[i].verbs, verb))
			return options[i].instead;
	return NULL;
}
