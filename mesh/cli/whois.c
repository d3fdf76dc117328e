#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include <string.h>

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

struct whois_options {
	struct cli_common common;
	const char *proto;
};
static const struct opt_row whois_rows[] = {
	{ "proto", NULL, OPT_STRING, offsetof(struct whois_options, proto), "tcp|udp",
		"what is spoken at the port; an address is of one machine whichever it is" },
	CLI_ROWS_COMMON(struct whois_options)
};

static void whois_print(struct cli *c, const struct api_whois *w)
{
	if (w->node) {
		fprintf(c->out, "Machine:\n  Name:       %s\n  ID:         %s\n  Addresses: ", w->node->name,
			w->node->stable_id);
		for (size_t i = 0; i < w->node->addresses.n; i++) {
			char text[PREFIX_TEXT];
			fprintf(c->out, " %s", prefix_format(&w->node->addresses.v[i], text));
		}
		fputc('\n', c->out);
	}
	if (w->user)
		fprintf(c->out, "User:\n  Name:       %s\n  ID:         %lld\n", w->user->login_name,
			(long long)w->user->id);
}

/* For daemons without the call: the status knows the same. */
static int from_status(struct cli *c, const char *word)
{
	struct arena a = { 0 };
	struct api_status s;
	struct addr ip;
	int code = api_status(c, &a, &s);
	const struct api_peer *p = code == CLI_OK ? api_peer_find(&s, word, &ip) : NULL;
	if (code == CLI_OK && !p) {
		code = cli_fail(c, CLI_FAILED, "no-peer", "ropewalk status lists the machines.",
			"no machine with the address %s", word);
	} else if (p) {
		struct ctl_node node = { .name = p->dns_name,
			.stable_id = p->stable_id,
			.id = p->node_id,
			.user = p->user_id,
			.key = p->key,
			.created_ms = p->created_ms,
			.last_seen_ms = p->last_seen_ms,
			.key_expiry_ms = p->key_expiry_ms };
		node.addresses =
			(struct ctl_prefixes) { arena_array(&a, p->n_ips, sizeof(struct prefix)), 0 };
		for (size_t i = 0; node.addresses.v && i < p->n_ips; i++)
			node.addresses.v[node.addresses.n++] = prefix_of(&p->ips[i]);
		struct ctl_user user = { .id = p->user_id };
		for (size_t i = 0; i < s.n_users; i++)
			if (s.users[i].id == p->user_id)
				user.login_name = s.users[i].login_name,
				user.display_name = s.users[i].display_name;
		struct api_whois w = { &node, user.login_name ? &user : NULL };
		struct buf b = { 0 };
		if (!c->json)
			whois_print(c, &w);
		else if (api_whois_write(&b, &w))
			fprintf(c->out, "%s\n", buf_cstr(&b));
		buf_free(&b);
	}
	arena_free(&a);
	return code;
}

/* What the call takes: an address for a machine's name; other words as they are. */
static int address_of(struct cli *c, const char *word, char out[static ADDR_TEXT], const char **asked)
{
	struct endpoint at;
	struct arena a = { 0 };
	struct api_status s;
	struct addr ip;
	*asked = word;
	if (addr_parse(word, &ip) || endpoint_parse(word, &at) || strncmp(word, "nodekey:", 8) == 0)
		return CLI_OK;
	int code = api_status(c, &a, &s);
	if (code == CLI_OK && api_peer_find(&s, word, &ip))
		*asked = addr_format(&ip, out);
	else if (code == CLI_OK)
		code = cli_fail(c, CLI_FAILED, "no-peer", "ropewalk status lists the machines.",
			"no machine \"%s\" in the network", word);
	arena_free(&a);
	return code;
}

/* proto: "" for either. */
static int ask_whois(struct cli *c, const char *asked, const char *proto)
{
	char target[API_TARGET_MAX] = "/localapi/v0/whois";
	api_target_add(target, "addr", asked);
	if (*proto)
		api_target_add(target, "proto", proto);
	struct api_request r = { .method = "GET", .target = target, .missing_ok = true };
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct api_whois w;
	struct errbuf eb = { 0 };
	int status = 0, code = api_call(c, &r, &b, &status);
	if (status == 404)
		code = from_status(c, asked);
	else if (code == CLI_OK && c->json)
		fprintf(c->out, "%s\n", buf_cstr(&b));
	else if (code == CLI_OK && api_whois_read(&a, (const char *)buf_data(&b), b.len, &w, &eb) != 0)
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's answer cannot be read: %s", eb.text);
	else if (code == CLI_OK)
		whois_print(c, &w);
	buf_free(&b);
	arena_free(&a);
	return code;
}

static int whois_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct whois_options *o = options;
	(void)n;
	char text[ADDR_TEXT];
	const char *asked, *proto = o->proto ? o->proto : "";
	if (*proto && strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0)
		return cli_fail(c, CLI_USAGE, "usage", NULL, "--proto is tcp or udp");
	int code = address_of(c, words[0], text, &asked);
	return code == CLI_OK ? ask_whois(c, asked, proto) : code;
}

static int whoami_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)options;
	(void)words;
	(void)n;
	struct arena a = { 0 };
	struct api_status s;
	char text[ADDR_TEXT];
	int code = api_status(c, &a, &s);
	if (code == CLI_OK && !s.n_ips)
		code = cli_fail(c, CLI_FAILED, "no-address", "ropewalk up joins a network.",
			"this machine is in no network");
	else if (code == CLI_OK)
		addr_format(&s.ips[0], text);
	arena_free(&a);
	return code == CLI_OK ? ask_whois(c, text, "") : code;
}

const struct cli_verb verb_whoami = {
	.man = { "whoami", "", "say which machine and user this is", "What whois says of its own address.",
		rows },
	.options_size = sizeof(struct options),
	.run = whoami_run,
};

const struct cli_verb verb_whois = {
	.man = { "whois", "IP[:PORT]|NAME", "say which machine and user an address belongs to", NULL,
		whois_rows },
	.options_size = sizeof(struct whois_options),
	.min_words = 1,
	.max_words = 1,
	.run = whois_run,
};
