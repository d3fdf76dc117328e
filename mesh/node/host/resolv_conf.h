/* The text of resolv.conf(5): read as the C library reads it, written line by line. Pure. */
#ifndef RW_NODE_RESOLV_CONF_H
#define RW_NODE_RESOLV_CONF_H

#include "mesh/base/addr.h"
#include "mesh/base/buf.h"

enum { RESOLV_SERVERS_MAX = 8, RESOLV_SEARCH_MAX = 12, RESOLV_DOMAIN = 254, RESOLV_OPTIONS = 256 };

struct resolv_conf {
	struct endpoint nameservers[RESOLV_SERVERS_MAX]; /* port 53 */
	size_t n_nameservers;
	char search[RESOLV_SEARCH_MAX][RESOLV_DOMAIN]; /* `search` or `domain`, the last line of them */
	size_t n_search;
	char options[RESOLV_OPTIONS]; /* all words of all lines, one blank between them */
};

/* What is no line of the format, no address, no name, or too much is left out: other programs write this
 * file. */
void resolv_conf_parse(const char *text, size_t len, struct resolv_conf *out);
/* All it names is systemd-resolved's stub: who its nameservers are stands elsewhere. */
bool resolv_conf_is_stub(const struct resolv_conf *c);
/* At the end, unless it is there, is no name, or there is no room. */
void resolv_conf_search_add(struct resolv_conf *c, const char *domain, size_t len);
bool resolv_conf_write(const struct resolv_conf *c, struct buf *out); /* false: memory short */

#define RESOLV_CONF_MARK "# Made by ropewalkd: the mesh's names are answered by its resolver.\n"
/* What goes in the place of the machine's own: our mark, the mesh's nameserver alone, its n search domains, then the
 * machine's own, whose options stay too. What comes from the server is names or it is left out. From malloc; NULL:
 * memory is short. */
char *resolv_conf_ours(
	const struct resolv_conf *own, const struct addr *nameserver, const char *const *search, size_t n);

#endif
