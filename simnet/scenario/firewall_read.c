#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>

/* "drop udp 5000-5010 from 192.168.1.0/24": a verdict, and then what must be so, in any order. */

static const char *const verdict_words[] = { "accept", "drop", "reject", "redirect", NULL };
static const char *const match_words[] = { "established", "tcp", "udp", "icmp", "from", "to", "into", NULL };

struct rule_reader {
	struct yaml_reader *y;
	struct scn_at at;
	char *save; /* of strtok_r */
	struct firewall_rule *out;
};

static bool are_ports(const char *word)
{
	char copy[120], *save = NULL;
	uint64_t first, last;

	if (strlen(word) >= sizeof(copy) || !*word)
		return false;
	snprintf(copy, sizeof(copy), "%s", word);
	if (copy[0] == ',' || copy[strlen(copy) - 1] == ',' || strstr(copy, ",,"))
		return false;
	for (char *one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		char *dash = strchr(one, '-');
		if (dash)
			*dash = '\0';
		if (!text_u64(one, 1, 65535, &first) || (dash && !text_u64(dash + 1, first, 65535, &last)))
			return false;
	}
	return true;
}

static int read_net(struct rule_reader *r, const char *word, bool *has, struct prefix *out)
{
	const char *net = strtok_r(NULL, " ", &r->save);
	struct prefix masked;

	if (!net || !prefix_parse(net, out))
		return yaml_error(r->y, r->at,
			"'%s' of a rule is followed by a network or address, as 10.0.0.0/8, not '%s'", word,
			net ? net : "");
	masked = *out;
	prefix_mask(&masked);
	if (!prefix_equal(&masked, out))
		return yaml_error(r->y, r->at, "'%s' is a host's address; a network ends in zeros", net);
	*has = true;
	return 0;
}

static int read_proto(struct rule_reader *r, enum firewall_proto proto)
{
	char *before = r->save, *ports;
	struct firewall_rule *f = r->out;

	if (f->proto)
		return yaml_error(r->y, r->at, "'%s' names two protocols; a rule has one", f->text);
	f->proto = proto;
	ports = before && *before && proto != FIREWALL_ICMP ? strtok_r(NULL, " ", &r->save) : NULL;
	if (!ports)
		return 0;
	if (ports[0] >= '0' && ports[0] <= '9') {
		f->ports = arena_strdup(r->y->arena, ports);
		return are_ports(ports)
			       ? 0
			       : yaml_error(r->y, r->at, "'%s' are no ports, as 80,443 or 5000-5010", ports);
	}
	/* The next word of the rule: it is read again. */
	if (*r->save)
		ports[strlen(ports)] = ' ';
	r->save = ports;
	return 0;
}

/* "into portal:8080" */
static int read_into(struct rule_reader *r)
{
	struct firewall_rule *f = r->out;
	char *host = strtok_r(NULL, " ", &r->save), *colon = host ? strrchr(host, ':') : NULL;
	uint64_t port;

	if (!colon || colon == host || !text_u64(colon + 1, 1, 65535, &port))
		return yaml_error(r->y, r->at,
			"'into' of a rule is followed by a host and its port, as portal:80, not '%s'",
			host ? host : "");
	f->into = arena_strndup(r->y->arena, host, (size_t)(colon - host));
	f->into_at.port = (uint16_t)port;
	return f->into ? 0 : yaml_no_memory(r->y);
}

static int read_match(struct rule_reader *r, const char *word)
{
	struct firewall_rule *f = r->out;

	if (!strcmp(word, "established")) {
		f->established = true;
		return 0;
	}
	if (!strcmp(word, "tcp"))
		return read_proto(r, FIREWALL_TCP);
	if (!strcmp(word, "udp"))
		return read_proto(r, FIREWALL_UDP);
	if (!strcmp(word, "icmp"))
		return read_proto(r, FIREWALL_ICMP);
	if (!strcmp(word, "from"))
		return read_net(r, word, &f->has_from, &f->from);
	if (!strcmp(word, "to"))
		return read_net(r, word, &f->has_to, &f->to);
	if (!strcmp(word, "into"))
		return read_into(r);
	return yaml_error_near(r->y, r->at, word, match_words,
		"'%.60s' is not a part of a rule (established, tcp, udp, icmp, from, to, into)", word);
}

/* A redirect is of the first packet of a flow, and of IPv4. */
static int check_redirect(struct yaml_reader *y, const struct firewall_rule *f, bool in)
{
	if (f->verdict != FIREWALL_REDIRECT)
		return f->into ? yaml_error(y, f->at, "'into' is of a rule that begins with redirect") : 0;
	if (in)
		return yaml_error(
			y, f->at, "'%s': what is redirected goes out of a router; say it in 'out'", f->text);
	if (!f->into || (f->proto != FIREWALL_TCP && f->proto != FIREWALL_UDP))
		return yaml_error(y, f->at,
			"'%s': a redirect is of tcp or udp, and says where: 'redirect tcp 80 into portal:80'",
			f->text);
	if (f->established || (f->has_from && !addr_is_v4(&f->from.ip)) ||
		(f->has_to && !addr_is_v4(&f->to.ip)))
		return yaml_error(y, f->at, "'%s': a redirect is of new flows, and of IPv4", f->text);
	return 0;
}

static int read_rule(struct yaml_reader *y, const struct yaml_value *v, bool in, struct firewall_rule *out)
{
	char text[200];
	struct rule_reader r = { .y = y, .at = v->at, .out = out };
	int err = 0;

	if (v->type != YAML_SCALAR || strlen(v->text) >= sizeof(text))
		return yaml_error(y, v->at, "a rule is a word, as 'drop udp from 10.0.0.0/8', not %s",
			v->type == YAML_SCALAR ? "such a long one" : yaml_type_name(v));
	snprintf(text, sizeof(text), "%s", v->text);
	*out = (struct firewall_rule) { .at = v->at, .text = v->text, .verdict = FIREWALL_VERDICTS };
	const char *word = strtok_r(text, " ", &r.save);
	for (int i = 0; word && verdict_words[i]; i++)
		if (!strcmp(verdict_words[i], word))
			out->verdict = (enum firewall_verdict)i;
	if (out->verdict == FIREWALL_VERDICTS)
		return yaml_error_near(y, v->at, word ? word : "", verdict_words,
			"a rule begins with accept, drop, reject or redirect, not '%.60s'", word ? word : "");
	while (!err && (word = strtok_r(NULL, " ", &r.save)))
		err = read_match(&r, word);
	if (!err && out->has_from && out->has_to && addr_is_v4(&out->from.ip) != addr_is_v4(&out->to.ip))
		err = yaml_error(y, v->at, "'%s' is of IPv4 and of IPv6, and matches nothing", v->text);
	return err ? err : check_redirect(y, out, in);
}

struct firewall_words {
	const struct yaml_value *in, *out;
};

#define AT(field) offsetof(struct firewall_words, field)
static const struct schema_form rules_form = { .strings = true };
static const struct schema_row firewall_rows[] = {
	{ "in", SCHEMA_KEEP, AT(in), .form = &rules_form,
		.doc = "of packets that come in; of a router, from outside" },
	{ "out", SCHEMA_KEEP, AT(out), .form = &rules_form, .doc = "of packets that go out" },
	{ 0 },
};
#undef AT
const struct schema_table firewall_table = { .name = "firewall",
	.about = "Rules in order, of which the first that matches decides; what none matches passes. A rule "
		 "is `accept`, "
		 "`drop`, `reject` or, in `out` of a router, `redirect`, and what must be so: `established`, "
		 "`tcp`, `udp` or `icmp`, after the "
		 "first two "
		 "ports of the destination (`80,443`, `5000-5010`), `from` and `to` a network or address of "
		 "IPv4 or "
		 "IPv6. A redirect ends in where it leads: `into portal:80`.",
	.rows = firewall_rows };

static int read_list(struct yaml_reader *y, const struct yaml_value *v, const char *key,
	struct firewall_rule **out, size_t *n)
{
	int first = 0;

	if (v->type != YAML_LIST)
		return yaml_error(y, v->at, "'%s' must be a list of rules, not %s", key, yaml_type_name(v));
	*out = arena_array(y->arena, v->n + 1, sizeof(**out));
	if (!*out)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
	for (size_t i = 0; i < v->n; i++) {
		int err = read_rule(y, v->items[i], !strcmp(key, "in"), &(*out)[(*n)++]);
		first = first ? first : err;
	}
	return first;
}

int firewall_read(struct yaml_reader *y, const struct yaml_value *v, struct scn_firewall *out)
{
	struct firewall_words w = { 0 };
	int err = schema_read_map(y, v, "firewall", firewall_rows, &w);
	size_t n = (w.in && w.in->type == YAML_LIST ? w.in->n : 0) +
		   (w.out && w.out->type == YAML_LIST ? w.out->n : 0);
	if (n > FIREWALL_RULES_MAX)
		return yaml_error(
			y, v->at, "a firewall has at most %d rules, not %zu", FIREWALL_RULES_MAX, n);
	int errors[] = { w.in ? read_list(y, w.in, "in", &out->in, &out->n_in) : 0,
		w.out ? read_list(y, w.out, "out", &out->out, &out->n_out) : 0 };

	return err ? err : errors[0] ? errors[0] : errors[1];
}
