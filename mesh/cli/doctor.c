/* What ropewalkd knows of itself, gone through one by one: what is well, what is not, and what to do. */
#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include "mesh/proto/json.h"
#include <string.h>

enum { FINDINGS_MAX = 64, OLDEST_CLOCK_S = 1700000000 };

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

enum level { FINE, ODD, WRONG };
static const char *const level_names[] = { [FINE] = "ok", [ODD] = "odd", [WRONG] = "wrong" };

struct finding {
	enum level level;
	const char *id, *text, *fix; /* fix NULL: nothing to do */
};
struct doctor {
	struct finding v[FINDINGS_MAX];
	size_t n;
	struct api_status s;
	struct api_prefs prefs;
	struct api_netcheck net;
	struct api_dns_os os;
	struct api_dns_servers servers;
	bool has_net, has_os, has_servers;
	struct arena mem;
};

static void find(struct doctor *d, enum level level, const char *id, const char *text, const char *fix)
{
	if (d->n < FINDINGS_MAX)
		d->v[d->n++] = (struct finding) { level, id, text, level == FINE ? NULL : fix };
}

/* One that is another than the server's is among what ropewalkd complains of. */
static void check_clock(struct doctor *d)
{
	bool plausible = clock_unix_ms() / 1000 > OLDEST_CLOCK_S, apart = false;
	for (size_t i = 0; i < d->s.n_health; i++)
		apart = apart || strncmp(d->s.health[i], API_CLOCKS, strlen(API_CLOCKS)) == 0;
	if (!plausible || !apart)
		find(d, plausible ? FINE : WRONG, "clock",
			plausible ? "the clock is plausible" : "the clock of this machine is years behind",
			"set the clock; certificates are not yet good in its time");
}

static void check_daemon(struct doctor *d)
{
	bool same = strcmp(d->s.version, RW_VERSION) == 0, up = strcmp(d->s.backend_state, "Running") == 0;
	bool server = strcmp(d->s.control, "connected") == 0;
	find(d, same ? FINE : ODD, "version",
		same ? "ropewalk and ropewalkd are of one version"
		     : "ropewalkd is of another version than ropewalk",
		"restart ropewalkd: systemctl restart ropewalkd");
	find(d, up ? FINE : WRONG, "state",
		up ? "this machine is in the network" : "this machine is not in the network",
		"ropewalk up; ropewalk status says how far it is");
	if (*d->s.control)
		find(d, server ? FINE : WRONG, "server",
			server ? "the control server is connected" : d->s.control,
			"see whether the server of ropewalk get login-server runs, and can be reached from "
			"here");
	check_clock(d);
}

static void check_health(struct doctor *d)
{
	for (size_t i = 0; i < d->s.n_health; i++)
		find(d, ODD, "health", d->s.health[i], NULL);
	if (!d->s.n_health)
		find(d, FINE, "health", "ropewalkd complains of nothing", NULL);
}

static void check_network(struct doctor *d)
{
	const struct api_netcheck *r = &d->net;
	if (!d->has_net || !r->measured)
		return;
	find(d, r->udp ? FINE : ODD, "udp",
		r->udp ? "UDP gets out" : "UDP does not get out: everything takes a relay",
		"let UDP out of the network here, from port 41641 to any and to port 3478");
	find(d, r->preferred ? FINE : WRONG, "relay", r->preferred ? "a relay is near" : "no relay answers",
		"let TCP port 443 out, or see whether the relays run");
	if (r->mapping_varies != 1 || *r->mapped)
		find(d, FINE, "nat",
			*r->mapped ? "the router gives a port" : "the NAT here lets direct paths be", NULL);
	else
		find(d, ODD, "nat", "the NAT here is a hard one: many peers are reached by a relay only",
			*r->unmapped ? r->unmapped : "turn on NAT-PMP, PCP or UPnP on the router");
}

static void check_names(struct doctor *d)
{
	if (!d->has_os || !d->s.magic_dns)
		return;
	if (!d->prefs.corp_dns)
		find(d, ODD, "names", "the network's DNS is turned off here: names of the mesh are not found",
			"ropewalk set --accept-dns");
	else if (strcmp(d->os.mode, "off") == 0)
		find(d, WRONG, "names",
			"this machine does not ask the mesh's resolver: names of the mesh are not found",
			"ropewalk dns status says who owns /etc/resolv.conf");
	else
		find(d, FINE, "names", "names of the mesh are found", NULL);
}

static bool is_well(const struct api_dns_server *s)
{
	return strcmp(s->health, "well") == 0 || strcmp(s->health, "checked") == 0;
}

/* Names of the internet: is there anybody who answers. */
static void check_nameservers(struct doctor *d)
{
	const struct api_dns_route *all = NULL;
	char *text;
	for (size_t i = 0; d->has_servers && i < d->servers.n_routes; i++)
		if (!d->servers.routes[i].site && strcmp(d->servers.routes[i].suffix, ".") == 0)
			all = &d->servers.routes[i];
	if (!all || !all->n_servers)
		return;
	for (size_t i = 0; i < all->n_servers; i++)
		if (is_well(&all->servers[i])) {
			find(d, FINE, "internet", "a nameserver for names of the internet is there", NULL);
			return;
		}
	const struct api_dns_server *s = &all->servers[0];
	text = arena_printf(&d->mem, "names of the internet do not resolve: %s %s%s%s%s", s->addr,
		strcmp(s->health, "held") == 0	 ? "does not answer"
		: strcmp(s->health, "ring") == 0 ? "asks this machine itself"
						 : "refuses",
		*s->fault ? ", " : "", s->fault, all->n_servers > 1 ? "; the others are no better" : "");
	find(d, ODD, "internet", text ? text : "names of the internet do not resolve",
		"see whether it runs and can be reached; ropewalk dns status names them all");
}

/* What this machine offers to carry and the server has not let it. */
static void check_routes(struct doctor *d)
{
	const struct ctl_prefixes *offered = &d->prefs.advertise_routes;
	char net[PREFIX_TEXT];
	size_t missing = 0;
	const char *first = NULL;
	for (size_t i = 0; i < offered->n; i++) {
		bool approved = false;
		for (size_t k = 0; k < d->s.self.n_allowed && !approved; k++)
			approved = prefix_equal(&offered->v[i], &d->s.self.allowed[k]);
		if (!approved && !missing++)
			first = prefix_format(&offered->v[i], net);
	}
	if (!offered->n)
		return;
	const char *text = first ? arena_printf(&d->mem, "%s%s offered, and the server has not approved it",
					   first, missing > 1 ? " and more are" : " is")
				 : "the server has approved all that is offered";
	find(d, first ? ODD : FINE, "routes", text ? text : "what is offered is not approved",
		"approve it in the server's console, or there: ropewalk-control nodes list-routes, then "
		"nodes "
		"approve-routes ID --routes ...");
}

/* What is not answered is left out. */
static bool ask(struct cli *c, const char *target, struct buf *b)
{
	struct api_request r = { .method = "GET", .target = target, .timeout_ms = 20000, .missing_ok = true };
	return api_call(c, &r, b, NULL) == CLI_OK;
}

static int gather(struct cli *c, struct doctor *d)
{
	struct buf net = { 0 }, os = { 0 }, servers = { 0 };
	int code = api_status(c, &d->mem, &d->s);
	if (code == CLI_OK)
		code = api_prefs(c, &d->mem, &d->prefs);
	bool up = code == CLI_OK && strcmp(d->s.backend_state, "Running") == 0;
	d->has_net = up && ask(c, "/localapi/v0/netcheck", &net) &&
		     api_netcheck_read(&d->mem, (const char *)buf_data(&net), net.len, &d->net, NULL) == 0;
	d->has_os = up && ask(c, "/localapi/v0/dns-osconfig", &os) &&
		    api_dns_os_read(&d->mem, (const char *)buf_data(&os), os.len, &d->os, NULL) == 0;
	d->has_servers = up && ask(c, "/localapi/v0/dns-servers", &servers) &&
			 api_dns_servers_read(&d->mem, (const char *)buf_data(&servers), servers.len,
				 &d->servers, NULL) == 0;
	buf_free(&net);
	buf_free(&os);
	buf_free(&servers);
	return code;
}

static void print_text(struct cli *c, const struct doctor *d)
{
	for (size_t i = 0; i < d->n; i++) {
		fprintf(c->out, "%-6s %-8s %s\n", level_names[d->v[i].level], d->v[i].id, d->v[i].text);
		if (d->v[i].fix)
			fprintf(c->out, "                to do: %s\n", d->v[i].fix);
	}
}

static void print_json(struct cli *c, const struct doctor *d)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	for (size_t i = 0; i < d->n; i++) {
		const struct finding *f = &d->v[i];
		const char *const pairs[][2] = { { i ? ",{\"id\":" : "[{\"id\":", f->id },
			{ ",\"level\":", level_names[f->level] }, { ",\"text\":", f->text },
			{ ",\"fix\":", f->fix ? f->fix : "" } };
		for (size_t k = 0; k < ARRAY_LEN(pairs); k++) {
			json_put(&o, pairs[k][0]);
			json_put_string(&o, pairs[k][1]);
		}
		json_put(&o, "}");
	}
	json_put(&o, "]\n");
	if (!o.bad)
		fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

static int doctor_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)options;
	(void)words;
	(void)n;
	struct doctor d = { .n = 0 };
	int code = gather(c, &d);
	if (code == CLI_OK) {
		check_daemon(&d);
		check_network(&d);
		check_names(&d);
		check_nameservers(&d);
		check_routes(&d);
		check_health(&d);
		if (c->json)
			print_json(c, &d);
		else
			print_text(c, &d);
		for (size_t i = 0; i < d.n; i++)
			if (d.v[i].level == WRONG)
				code = CLI_FAILED;
	}
	arena_free(&d.mem);
	return code;
}

const struct cli_verb verb_doctor = {
	.man = { "doctor", "", "look for what is wrong, and say what to do",
		"One line for each thing that was looked at: ok, odd (it works, but not as well as it "
		"could), or wrong; the "
		"exit status is 1 when something is wrong.",
		rows },
	.options_size = sizeof(struct options),
	.run = doctor_run,
};
