/* Whom this machine's programs ask for names, and so who has to be told that it shall be our resolver. Pure:
 * facts in, one owner and one line of reason out. resolver.md 3.5.
 *
 * The file decides, since programs read it: whom does it name, who wrote it, where does it lead? A program that
 * looks after it is spoken to in its own way, where it is there and lets us; else the file is taken, and what is
 * known of its owner becomes the reason that `ropewalk dns status` shows. */
#ifndef RW_NODE_HOST_DNS_OWNER_H
#define RW_NODE_HOST_DNS_OWNER_H

#include <stdbool.h>
#include <stddef.h>

/* X(enum, word for programs, name for people) */
#define DNS_OWNER_LIST(X) \
	X(NOBODY, "off", "nobody is told") \
	X(RESOLVED, "systemd-resolved", "systemd-resolved") \
	X(OPENRESOLV, "openresolv", "openresolv") \
	X(RESOLVCONF, "resolvconf", "resolvconf") \
	X(NETWORKMANAGER, "network-manager", "NetworkManager") \
	X(MOUNT, "mount", "a mounted file") \
	X(FILE, "direct", "the file")
enum dns_owner {
#define X(name, word, text) DNS_OWNER_##name,
	DNS_OWNER_LIST(X)
#undef X
};
const char *dns_owner_word(enum dns_owner o); /* "direct" */
const char *dns_owner_text(enum dns_owner o); /* "the file" */

enum dns_file { DNS_FILE_MISSING, DNS_FILE_PLAIN, DNS_FILE_LINK, DNS_FILE_MOUNT };
/* Programs of the name resolvconf: systemd's is resolvectl under another name. */
enum dns_resolvconf {
	DNS_RESOLVCONF_NONE,
	DNS_RESOLVCONF_DEBIAN,
	DNS_RESOLVCONF_OPEN,
	DNS_RESOLVCONF_SYSTEMD
};

struct dns_facts {
	bool own_path; /* the command line names another file than the machine's */
	enum dns_file file;
	const char *link; /* DNS_FILE_LINK: where it leads, absolute; else "" */
	const char *text; /* what it says, len bytes; our own text never */
	size_t len;
	const char *nsswitch; /* text of nsswitch.conf, n bytes */
	size_t nsswitch_len;
	const char *unwritable; /* why the file cannot be put; "" = it can */
	bool bus;		/* the system bus is there */
	bool stub_here;	   /* somebody listens where systemd-resolved's stub does, in our network namespace */
	bool uplinks_here; /* systemd-resolved's file of nameservers is there */
	bool networkmanager_here; /* its folder in /run is */
	enum dns_resolvconf resolvconf;
	const char *resolved_refused, *openresolv_refused; /* why, when they were told; "" = not */
};

struct dns_choice {
	enum dns_owner owner;
	bool file_too;	      /* RESOLVED: some programs read the file, which does not lead to it */
	bool resolved_wanted; /* another, but it should be RESOLVED, once that is there */
	char reason[256];
};
void dns_owner_choose(const struct dns_facts *f, struct dns_choice *out);

/* Of nsswitch.conf: are names of hosts asked of systemd-resolved (`resolve`) before any name server (`dns`)? */
bool dns_nsswitch_resolves(const char *text, size_t len);

#endif
