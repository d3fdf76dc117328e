/* `policy explain`: may this node send to that one, and which rule says so. */
#include "mesh/control/http/api.h"

#include "mesh/base/text.h"
#include "mesh/control/policy/policy.h"
#include <stdio.h>
#include <string.h>

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ICMP6 = 58, WHY_MAX = 512 };

static const char *explain_word(const struct api_call *c, const char *name)
{
	const char *t = json_string_value(json_object_get(c->args, name));
	return t ? t : "";
}

/* By name, address or number. */
static const struct member *find_node(const struct fleet *f, const char *word)
{
	struct addr at;
	uint64_t id;
	const struct member *m = fleet_by_name(f, word);
	if (!m && addr_parse(word, &at))
		m = fleet_by_address(f, &at);
	if (!m && text_u64(word, 1, INT64_MAX, &id))
		m = fleet_by_id(f, (int64_t)id);
	return m;
}

/* "443", "tcp:443", "udp:53", "icmp", ""; false: none of these. */
static bool read_packet(const char *text, struct policy_question *q)
{
	uint64_t port;
	q->any_port = !*text;
	q->proto = PROTO_TCP;
	if (!strcmp(text, "icmp")) {
		q->proto = PROTO_ICMP;
		return true;
	}
	if (!strncmp(text, "udp:", 4))
		q->proto = PROTO_UDP;
	if (!strncmp(text, "udp:", 4) || !strncmp(text, "tcp:", 4))
		text += 4;
	if (!q->any_port && !text_u64(text, 1, UINT16_MAX, &port))
		return false;
	q->port = q->any_port ? 0 : (uint16_t)port;
	return true;
}

/* By one family; false: the two nodes have none in common of it. */
static bool explain_by(const struct api *a, struct policy_question *q, bool v6, struct policy_answer *out)
{
	const struct member *from = q->from, *to = q->to;
	struct policy_question its = *q;
	if (v6 ? !from->has_v6 || !to->has_v6 : !from->has_v4 || !to->has_v4)
		return false;
	its.from_at = v6 ? from->v6 : from->v4;
	its.to_at = v6 ? to->v6 : to->v4;
	if (v6 && q->proto == PROTO_ICMP)
		its.proto = PROTO_ICMP6;
	policy_explain(a->streams->set->policy, &a->reg->fleet, &its, out);
	return true;
}

static void format_why(const struct api *a, const struct policy_question *q, const struct policy_answer *r,
	char out[static WHY_MAX])
{
	char rule[160] = "";
	const char *from = q->from->name, *to = q->to->name;
	if (r->section)
		snprintf(rule, sizeof(rule), "%s[%u] (line %u)", r->section, r->index, r->line);
	switch (r->step) {
	case POLICY_PASSES:
		snprintf(out, WHY_MAX, "%s",
			!a->streams->set->policy ? "there is no policy file: everything is allowed"
			: !*rule ? "the policy has neither \"acls\" nor \"grants\": everything is allowed"
				 : "");
		if (*rule)
			snprintf(out, WHY_MAX, "%s lets it pass", rule);
		break;
	case POLICY_NO_SOURCE: snprintf(out, WHY_MAX, "no rule has %s as a source", from); break;
	case POLICY_NO_TARGET:
		snprintf(out, WHY_MAX,
			"no rule that has %s as a source has %s as a destination; the first is %s", from, to,
			rule);
		break;
	case POLICY_NO_PORT:
		snprintf(out, WHY_MAX,
			"%s lets %s reach %s, but by other ports or protocols; no rule by this one",
			*rule ? rule : "the policy", from, to);
		break;
	}
}

/* A key that has ended is stronger than every rule. */
static void add_expired(const struct member *m, int64_t now_ms, char out[static WHY_MAX])
{
	size_t n = strlen(out);
	if (member_is_expired(m, now_ms))
		snprintf(out + n, WHY_MAX - n,
			"; but the key of %s has expired, and nothing passes until it logs in again",
			m->name);
}

static json_t *explain_value(struct api_call *c, struct policy_question *q, const char *packet)
{
	struct policy_answer by[2] = { 0 };
	bool has4 = explain_by(c->api, q, false, &by[0]), has6 = explain_by(c->api, q, true, &by[1]);
	bool passes4 = has4 && by[0].step == POLICY_PASSES, passes6 = has6 && by[1].step == POLICY_PASSES;
	bool expired = member_is_expired(q->from, c->now_ms) || member_is_expired(q->to, c->now_ms);
	const struct policy_answer *best = has6 && (!has4 || by[1].step > by[0].step) ? &by[1] : &by[0];
	char why[WHY_MAX];
	format_why(c->api, q, best, why);
	if (has4 && has6 && passes4 != passes6)
		snprintf(why + strlen(why), sizeof(why) - strlen(why), ", by %s alone",
			passes4 ? "IPv4" : "IPv6");
	add_expired(q->from, c->now_ms, why);
	if (q->to != q->from)
		add_expired(q->to, c->now_ms, why);
	json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:s}", "from", q->from->name, "to", q->to->name, "packet",
		packet, "allowed", (passes4 || passes6) && !expired, "why", why);
	if (best->section) {
		json_object_set_new(o, "rule", json_sprintf("%s[%u]", best->section, best->index));
		json_object_set_new(o, "line", json_integer(best->line));
	}
	return o;
}

void admin_explain(struct api_call *c)
{
	static const char *const ends[] = { "from", "to" };
	const struct member *m[2];
	const char *packet = explain_word(c, "port");
	char text[256];
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (!(m[i] = find_node(&c->api->reg->fleet, explain_word(c, ends[i])))) {
			snprintf(text, sizeof(text),
				"no node has the name, address or number \"%.64s\": `nodes list` shows them",
				explain_word(c, ends[i]));
			api_reply_error(&c->way, 400, text);
			return;
		}
	struct policy_question q = { .from = m[0], .to = m[1] };
	if (!read_packet(packet, &q)) {
		snprintf(text, sizeof(text), "\"%.32s\" is no port: write 443, tcp:443, udp:53 or icmp",
			packet);
		api_reply_error(&c->way, 400, text);
		return;
	}
	api_reply_json(&c->way, 200, explain_value(c, &q, *packet ? packet : "any"));
}
