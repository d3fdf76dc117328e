#include "resolver/alone/blocked.h"

#include "resolver/name.h"
#include <errno.h>

int blocked_read(
	const char *name, const char *client, struct dns_name *out, struct addr *from, struct errbuf *eb)
{
	*from = addr_any6;
	if (!dns_name_parse(name, out) || out->len == 1)
		return err_say(eb, ERR_MALFORMED, "\"%s\" is not a domain name", name);
	if (*client && !addr_parse(client, from))
		return err_say(eb, ERR_MALFORMED, "a client is an address, not \"%s\"", client);
	dns_name_fold(out);
	return 0;
}

struct blocker_search *blocked_search(struct running *s, const char *name, const char *client,
	void (*told)(void *arg, int err, const struct blocker_why *w, const struct errbuf *eb), void *arg,
	struct errbuf *eb)
{
	struct dns_name n;
	struct addr from;
	if (blocked_read(name, client, &n, &from, eb))
		return NULL;
	struct blocker_search *search =
		blocker_search_start(s->blocker, &(struct blocker_client) { .from = &from }, &n, told, arg);
	if (!search)
		err_say(eb, -ENOMEM, "memory is short");
	return search;
}
