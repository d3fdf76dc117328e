#include "simnet/command.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

/* `simnet new`: files to begin with. Each runs as it stands, with what every machine that runs simnet has. */

#define TEMPLATES(X) \
	X(hosts, "hosts", "two hosts behind home routers, and one on the internet") \
	X(service, "service", "a program that others use, and a router that forgets") \
	X(punch, "punch", "two hosts that punch holes, over every pair of NATs") \
	X(home_cgnat, "home-cgnat", "a home behind a carrier's NAT, and a neighbour behind the same") \
	X(corp, "corp", "an office that lets out web traffic and its proxy alone") \
	X(roaming, "roaming", "a phone that goes from one network to the next, and sleeps") \
	X(pi_hole, "pi-hole", "a nameserver at home that blocks names, and dies")

/* templates/NAME.yaml */
#define DECLARE(symbol, name, about) \
	extern const unsigned char template_##symbol[]; \
	extern const size_t template_##symbol##_len;
TEMPLATES(DECLARE)
#undef DECLARE

static const struct template
{
	const char *name, *about;
	const unsigned char *text;
	const size_t *len;
}
templates[] = {
#define ROW(symbol, name, about) { name, about, template_##symbol, &template_##symbol##_len },
	TEMPLATES(ROW)
#undef ROW
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
			fwrite(templates[i].text, 1, *templates[i].len, stdout);
			return EXIT_PASS;
		}
	}
	if (c->n_words == 1) {
		const char *near = text_nearest(c->words[0], names);
		fprintf(stderr, "simnet: no template '%s'%s%s%s\n", c->words[0],
			near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	for (size_t i = 0; i < ARRAY_LEN(templates); i++)
		fprintf(c->n_words ? stderr : stdout, "%-11s %s\n", templates[i].name, templates[i].about);
	return c->n_words ? EXIT_USAGE : EXIT_PASS;
}
