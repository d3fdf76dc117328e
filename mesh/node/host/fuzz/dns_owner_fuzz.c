/* Any resolv.conf (DHCP servers have a say in it) and nsswitch.conf, on any machine: an owner that may be one, with a
 * reason. Two bytes of facts, then the texts, a NUL between. */
#include "mesh/node/host/dns_owner.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(const struct dns_facts *f, const struct dns_choice *c)
{
	bool read_only = *f->unwritable;
	bool told = c->owner == DNS_OWNER_RESOLVED || c->owner == DNS_OWNER_OPENRESOLV;
	if (!*dns_owner_word(c->owner) || !*dns_owner_text(c->owner))
		abort();
	if (!c->reason[0] || !memchr(c->reason, 0, sizeof(c->reason)) || strchr(c->reason, '\n'))
		abort();
	if (c->owner == DNS_OWNER_RESOLVED && (!f->bus || *f->resolved_refused))
		abort();
	if (c->owner == DNS_OWNER_NOBODY ? !read_only : read_only && !told)
		abort();
	if (c->file_too && (c->owner != DNS_OWNER_RESOLVED || read_only))
		abort();
	if (f->own_path && (told || c->resolved_wanted))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dns_choice c;
	if (len < 2)
		return 0;
	const char *text = (const char *)data + 2, *split = memchr(text, 0, len - 2);
	size_t n = split ? (size_t)(split - text) : len - 2;
	struct dns_facts f = { .own_path = data[0] & 1,
		.bus = data[0] & 2,
		.stub_here = data[0] & 4,
		.uplinks_here = data[0] & 8,
		.networkmanager_here = data[0] & 16,
		.unwritable = data[0] & 32 ? "no" : "",
		.resolved_refused = data[0] & 64 ? "no" : "",
		.openresolv_refused = data[0] & 128 ? "no" : "",
		.file = (enum dns_file)(data[1] & 3),
		.resolvconf = (enum dns_resolvconf)(data[1] >> 2 & 3),
		.link = data[1] & 16 ? "/run/NetworkManager/resolv.conf" : "/run/resolvconf/resolv.conf",
		.text = text,
		.len = n,
		.nsswitch = split ? split + 1 : "",
		.nsswitch_len = split ? len - 2 - n - 1 : 0 };
	dns_owner_choose(&f, &c);
	check(&f, &c);
	return 0;
}
