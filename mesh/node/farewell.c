/* Left without a word, a machine stays in the old network's list as one that may come back, with a key that is
 * good there. The node's own link and state are the new network's by then, so this is a link of its own with
 * what the state was. */
#include "mesh/node/farewell.h"
#include "mesh/node/host/hostinfo.h"
#include "mesh/node/links/server_link.h"
#include <stdlib.h>

struct farewell {
	struct state was;
	struct server_link *link;
	struct loop_timer *end;
};

/* Of the link's ops those that a logout meets. */
static void farewell_describe(void *arg, struct arena *a, struct server_link_self *out)
{
	hostinfo_describe(a, ((const struct farewell *)arg)->was.prefs.hostname, &out->host);
}

static void is_known(void *arg, const struct machine_key *key)
{
	(void)arg;
	(void)key;
}

static void is_another(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void hang_up(void *arg)
{
	struct farewell *f = arg;
	server_link_close(f->link);
	f->link = NULL;
	state_wipe(&f->was);
}

/* The answer comes out of the link that hanging up closes. */
static void said(void *arg)
{
	loop_timer_set(((struct farewell *)arg)->end, 0);
}

struct farewell *farewell_say(struct loop *l, const struct state *was, const struct proxies *proxies)
{
	struct farewell *f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	struct server_link_ops ops = { .describe = farewell_describe,
		.server_is = is_known,
		.refused = is_another,
		.proxies = proxies,
		.arg = f };
	key_lock(&f->was, sizeof(f->was));
	f->was = *was;
	f->end = loop_timer_new(l, hang_up, f);
	f->link = f->end ? server_link_open(l, &f->was, &ops) : NULL;
	if (!f->link) {
		farewell_close(f);
		return NULL;
	}
	server_link_logout(f->link, said, f);
	return f;
}

void farewell_close(struct farewell *f)
{
	if (!f)
		return;
	hang_up(f);
	loop_timer_free(f->end);
	free(f);
}
