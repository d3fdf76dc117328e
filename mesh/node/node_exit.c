#include "mesh/node/node_exit.h"
#include "mesh/base/log.h"
#include <stdio.h>
#include <string.h>

bool node_wants_exit(const struct node *n)
{
	return n->state.prefs.want_running && n->state.prefs.exit_node[0];
}

bool node_offers_exit(const struct node *n)
{
	const struct state_prefs *p = &n->state.prefs;
	for (size_t i = 0; i < p->n_offered; i++)
		if (!p->offered[i].bits)
			return true;
	return false;
}

void node_hold_exit(struct node *n)
{
	struct errbuf eb = { 0 };
	char text[sizeof(n->unheld)] = "";
	if (exit_hold_set(&n->hold, node_wants_exit(n), n->state.prefs.exit_allow_lan, n->journal, &eb) != 0)
		snprintf(text, sizeof(text),
			"what the exit does not carry may leave this machine beside it: %s", eb.text);
	if (text[0] && strcmp(text, n->unheld) != 0)
		log_error("%s", text);
	memcpy(n->unheld, text, sizeof(text));
}
