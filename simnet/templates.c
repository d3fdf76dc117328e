#include "simnet/command.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

/* `simnet new`: files to begin with. Each runs as it stands, with what every machine that runs simnet has. */

static const struct template
{
	const char *name, *about, *text;
}
templates[] = {
	{ "hosts", "two hosts behind home routers, and one on the internet",
		"simnet: 1\n"
		"name: my-hosts                  # run -k looks for it\n"
		"about: who reaches whom through two home routers\n"
		"routers:\n"
		"  home: {nat: home}             # or symmetric, cgnat, none ...: simnet presets lists them\n"
		"  office: {nat: symmetric}\n"
		"nodes:\n"
		"  laptop: {at: home}            # a bare host; run: [PROGRAM, ARGUMENT] starts something "
		"there\n"
		"  desk: {at: office}\n"
		"  server: {at: internet}\n"
		"steps:\n"
		"  - ping: {from: laptop, to: server, within: 3s}\n"
		"  - ping: {from: server, to: laptop, fails: true, within: 500ms}\n"
		"    say: nobody gets in unasked\n" },
	{ "service", "a program that others use, and a router that forgets",
		"simnet: 1\n"
		"name: my-service\n"
		"about: a server is used from behind a home router, also after the router has lost its "
		"memory\n"
		"routers:\n"
		"  home: {nat: home}\n"
		"services:                       # started first, on the internet unless they say otherwise\n"
		"  web: {run: http}              # an HTTP server that comes with simnet; or a list, with "
		"`ready`:\n"
		"  # web: {run: [my-server, --port, \"80\"], ready: {port: \"tcp {ip}:80\"}}\n"
		"nodes:\n"
		"  laptop: {at: home}\n"
		"steps:\n"
		"  - ping: {from: laptop, to: web, within: 3s}\n"
		"  - reset: home                 # its mappings are gone\n"
		"  - expect: {gap: laptop->web, max: 2s}\n"
		"  - run:                        # until it says so, 10 s at most\n"
		"      at: laptop\n"
		"      argv: [python3, -c, \"import urllib.request as u; "
		"print(u.urlopen('http://{web.ip}/').status)\"]\n"
		"      is: \"200\"\n" },
	{ "punch", "two hosts that punch holes, over every pair of NATs",
		"simnet: 1\n"
		"name: my-punch\n"
		"about: two hosts find a direct path where their routers allow one\n"
		"matrix:                         # run once for every combination\n"
		"  a: [home, symmetric]\n"
		"  b: [home, symmetric]\n"
		"routers:\n"
		"  net-a: {nat: \"{matrix.a}\"}\n"
		"  net-b: {nat: \"{matrix.b}\"}\n"
		"services:\n"
		"  rendezvous: {run: punch-server}\n"
		"nodes:\n"
		"  alice: {at: net-a, run: punch, with: {call: bob}}\n"
		"  bob: {at: net-b, run: punch}\n"
		"steps:\n"
		"  - expect: {path: alice->bob, is: oracle, within: 10s}\n" },
};

int templates_new(struct command *c)
{
	const char *names[ARRAY_LEN(templates) + 1] = { NULL };

	if (c->opt.wizard)
		return c->n_words ? command_error("--wizard asks instead of taking a template")
				  : wizard_run();
	for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
		names[i] = templates[i].name;
		if (c->n_words == 1 && !strcmp(c->words[0], names[i])) {
			fputs(templates[i].text, stdout);
			return EXIT_PASS;
		}
	}
	if (c->n_words == 1) {
		const char *near = text_nearest(c->words[0], names);
		fprintf(stderr, "simnet: no template '%s'%s%s%s\n", c->words[0],
			near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	for (size_t i = 0; i < ARRAY_LEN(templates); i++)
		fprintf(c->n_words ? stderr : stdout, "%-10s %s\n", templates[i].name, templates[i].about);
	return c->n_words ? EXIT_USAGE : EXIT_PASS;
}
