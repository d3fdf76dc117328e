#include "mesh/cli/explain.h"
#include "mesh/cli/api.h"
#include "mesh/proto/json.h"
#include <string.h>

enum { HELP_TEXT = 512 };

/* From what is nearest to this machine to what is nearest to the other: the first that is in the way is the one to
 * change. */
const char *explain_help(const struct api_peer *p, const struct api_netcheck *net, char *buf, size_t cap)
{
	int n = (int)strcspn(p->dns_name, ".");
	if (*p->cur_addr)
		return "";
	if (p->expired)
		return "Its key has ended: on that machine, ropewalk login.";
	if (!p->online)
		return "It is offline: start ropewalkd there, and look at ropewalk status there.";
	if (!p->active) {
		snprintf(buf, cap, "Nothing is sent to it: ropewalk ping %.*s looks for a way.", n,
			p->dns_name);
		return buf;
	}
	if (!net || !net->measured)
		return "";
	if (!net->udp)
		return "Let UDP out of the network here: from port 41641 to any, and to port 3478 of the "
		       "relays.";
	if (net->mapping_varies == 1 && !*net->mapped) {
		snprintf(buf, cap, "The NAT here is a hard one%s%s.", *net->unmapped ? ": " : "",
			net->unmapped);
		return buf;
	}
	snprintf(buf, cap,
		"Nothing here is in the way: on %.*s, ropewalk netcheck says what is there; NAT-PMP, PCP or "
		"UPnP on "
		"the router there, or its UDP port 41641 opened, would help.",
		n, p->dns_name);
	return buf;
}

static void say_way(const struct api_peer *p, char *out, size_t cap)
{
	if (*p->cur_addr)
		snprintf(out, cap, "direct, %s", p->cur_addr);
	else if (*p->relay)
		snprintf(out, cap, "relay \"%s\"", p->relay);
	else
		snprintf(out, cap, "none");
}

static void explain_print(struct cli *c, const struct api_peer *p, const char *help)
{
	char way[160];
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	say_way(p, way, sizeof(way));
	if (!c->json) {
		fprintf(c->out, "%s\n  Way:        %s\n", p->dns_name, way);
		if (*p->why && !*p->cur_addr)
			fprintf(c->out, "  Why:        %s\n", p->why);
		if (*help)
			fprintf(c->out, "  Would help: %s\n", help);
		return;
	}
	const char *const pairs[][2] = { { "{\"Name\":", p->dns_name }, { ",\"Way\":", way },
		{ ",\"Why\":", p->why }, { ",\"WouldHelp\":", help } };
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		json_put(&o, pairs[i][0]);
		json_put_string(&o, pairs[i][1]);
	}
	json_put(&o, "}\n");
	if (!o.bad)
		fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

/* Asked only where it matters: it takes a second. */
static bool measure(struct cli *c, struct arena *a, const struct api_peer *p, struct api_netcheck *out)
{
	struct api_request r = { .method = "GET", .target = "/localapi/v0/netcheck", .timeout_ms = 20000 };
	struct buf b = { 0 };
	bool ok = !*p->cur_addr && p->active && api_call(c, &r, &b, NULL) == CLI_OK &&
		  api_netcheck_read(a, (const char *)buf_data(&b), b.len, out, NULL) == 0;
	buf_free(&b);
	return ok;
}

int explain_run(struct cli *c, const char *name)
{
	struct arena a = { 0 };
	struct api_status s;
	struct api_netcheck net;
	struct addr ip;
	char help[HELP_TEXT];
	int code = api_status(c, &a, &s);
	const struct api_peer *p = code == CLI_OK ? api_peer_find(&s, name, &ip) : NULL;
	if (code == CLI_OK && !p)
		code = cli_fail(c, CLI_FAILED, "no-peer", "ropewalk status lists the machines.",
			"no machine \"%s\"", name);
	else if (p == &s.self)
		code = cli_fail(c, CLI_FAILED, "self", "ropewalk netcheck says what the network here allows.",
			"%s is this machine", name);
	else if (p)
		explain_print(
			c, p, explain_help(p, measure(c, &a, p, &net) ? &net : NULL, help, sizeof(help)));
	arena_free(&a);
	return code;
}
