/* What a reload replaces, read from the files that the config names: DNS settings, DERP map, policy. */
#ifndef RW_CONTROL_CONFIG_SETTINGS_H
#define RW_CONTROL_CONFIG_SETTINGS_H

#include "mesh/control/config/config.h"
#include "mesh/control/policy/source.h"

enum { SETTINGS_HASH = 32 };

/* Immutable; replaced as a whole at a reload. Counted: a node that has not been told of the new ones yet
 * holds the old. */
struct settings {
	unsigned refs;
	struct arena mem;
	const char *base_domain; /* no dots at the ends */
	const char *name;	 /* of the network, for people; NULL = base_domain */
	struct ctl_dns dns;
	struct ctl_dns file_dns; /* what it would be but for what was set by the API; no records */
	/* dns.override_local_dns of the two, which without a nameserver does not show in them */
	bool dns_overrides, file_dns_overrides;
	struct ctl_derp_map derp;
	const char *block_node; /* the name of the machine that answers names for the others; NULL = none */
	const char *block_caps; /* what it is told to block, as JSON */
	struct policy_source *source; /* counted; NULL = no policy */
	struct policy *policy;	      /* the source's */
	struct settings *lent;	      /* counted: whose all but policy and DNS records is; NULL = own */
	const char *records_path;     /* the file of DNS records; "" = none */
	uint8_t dns_hash[SETTINGS_HASH], derp_hash[SETTINGS_HASH];
};

/* What is known of the relay inside a running server, for its region. */
struct settings_relay {
	struct endpoint at, stun; /* TLS; STUN, unset = none */
	char pin[80];		  /* of the certificate made here; "" = one for everybody */
};
/* NULL with the sentence; settings_put it. Needs no running server. relay: NULL = none runs. kept: the policy where
 * the config says that it is in the database; NULL = none is. dns: what was set by the API (config_dns_parse); NULL =
 * nothing was. */
struct settings *settings_read(const struct control_config *c, const struct control_config *dns,
	const struct settings_relay *relay, struct policy_source *kept, struct errbuf *eb);
/* The same, with the file of DNS records read anew. */
struct settings *settings_with_records(struct settings *from, struct errbuf *eb);
/* The same, with another policy (NULL = none). NULL: memory is short. */
struct settings *settings_with_policy(struct settings *from, struct policy_source *source);
struct settings *settings_get(struct settings *s);
void settings_put(struct settings *s); /* NULL is fine */

#endif
