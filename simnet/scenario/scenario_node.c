#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include "simnet/scenario/adapter.h"
#include <stdio.h>
#include <string.h>

/* Nodes and services. */
struct node_words {
	const char *at, *router;
	const struct yaml_value *run, *with, *ready, *ip, *interfaces, *link, *region, *firewall;
	struct machine_words machine;
	int udp, start;
};

static const char *const start_words[] = { "now", "later", NULL };

static int check_with(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	(void)base;
	return v->type == YAML_MAP
		       ? 0
		       : yaml_error(y, v->at, "'with' must be a map of words, not %s", yaml_type_name(v));
}

static const struct schema_form run_form = { .word = true, .strings = true }, with_form = { .params = true },
				ip_form = { .word = true }, interfaces_form = { .named = &interface_table },
				env_form = { .params = true }, clock_form = { .word = true },
				files_form = { .paths = &host_file_table },
				firewall_form = { .map = &firewall_table };

#define AT(field) offsetof(struct node_words, field)
#define ROUTER_ROW \
	{ \
		"router", SCHEMA_STRING, AT(router), \
			.doc = "it runs on that router itself, whose `wan` and `lan` are its interfaces; " \
			       "instead of " \
			       "`at`. The kernel engine's alone" \
	}
/* A service lives on the internet unless the file says otherwise, and has something to run. */
#define NODE_ROWS(is_service) \
	{ "at", SCHEMA_STRING, AT(at), .def = (is_service) ? "internet" : NULL, \
		.doc = (is_service) ? "a router, or `internet`" \
				    : "a router, or `internet`; needed without `interfaces`" }, \
		{ "ip", SCHEMA_KEEP, AT(ip), .form = &ip_form, .def = "chosen", \
			.doc = "its address there; on the internet any" }, \
		{ "interfaces", SCHEMA_KEEP, AT(interfaces), .form = &interfaces_form, \
			.doc = "up to four, instead of `at` and `ip`" }, \
		{ "run", SCHEMA_KEEP, AT(run), .required = (is_service), .form = &run_form, \
			.doc = (is_service) ? "the name of an adapter, or a list: a program and its " \
					      "arguments" \
					    : "the name of an adapter, or a list: a program and its " \
					      "arguments. A node without it is a bare host" }, \
		{ "ready", SCHEMA_KEEP, AT(ready), .form = &adapter_ready_form, \
			.doc = "of a program given as a list: when it is ready; at once without this" }, \
		{ "with", SCHEMA_KEEP, AT(with), .read = check_with, .form = &with_form, \
			.doc = "parameters of the adapter" }, \
		{ "count", SCHEMA_CUSTOM, .read = count_skip, .form = &count_form, .doc = COUNT_DOC }, \
		{ "region", SCHEMA_KEEP, AT(region), .form = &ip_form, \
			.doc = "of the internet, where it is itself on it, by one of its interfaces at " \
			       "least" }, \
		{ "link", SCHEMA_KEEP, AT(link), .form = &link_form, \
			.doc = "what its link does to packets, of all its interfaces" }, \
		{ "udp", SCHEMA_WORD, AT(udp), .words = scenario_udp_words, .def = "open", \
			.doc = "`blocked`: no UDP to or from this host" }, \
		{ "firewall", SCHEMA_KEEP, AT(firewall), .form = &firewall_form, .doc = "the host's own" }, \
		{ "env", SCHEMA_KEEP, AT(machine.env), .form = &env_form, \
			.doc = "variables of all that runs there" }, \
		{ "user", SCHEMA_STRING, AT(machine.user), .def = "root", \
			.doc = "who its program runs as, a name or a number; `run` steps are root's" }, \
		{ "files", SCHEMA_KEEP, AT(machine.files), .form = &files_form, \
			.doc = "written before its program starts, each time anew" }, \
		{ "clock", SCHEMA_KEEP, AT(machine.clock), .form = &clock_form, .def = "the machine's", \
			.doc = "how far the wall clock of its programs is off, as `+1h` or `-30y`" }, \
	{ \
		"start", SCHEMA_WORD, AT(start), .words = start_words, .def = "now", \
						 .doc = "`later`: a `spawn` step starts it" \
	}
static const struct schema_row node_rows[] = { NODE_ROWS(false), { 0 } };
static const struct schema_row service_rows[] = { NODE_ROWS(true), ROUTER_ROW, { 0 } };
#undef AT

static const char *const place_words[] = { "at", "interfaces", NULL };
const struct schema_table node_table = { .name = "node", .rows = node_rows, .either = place_words };
const struct schema_table service_table = { .name = "service",
	.about = "Services are hosts as nodes are, started before them and killed after them.",
	.rows = service_rows };

static int read_run(struct yaml_reader *y, const struct yaml_value *v, struct scn_node *n)
{
	static const struct schema_row row = {
		.key = "run", .kind = SCHEMA_STRING, .at = offsetof(struct scn_node, adapter)
	};

	if (v->type == YAML_LIST && !v->n)
		return yaml_error(y, v->at, "'run' is an empty list; it names a program and its arguments");
	if (v->type == YAML_LIST)
		return schema_read_strings(y, v, "run", &n->argv);
	return schema_read_scalar(y, v, "run", &row, n);
}

static int read_with(struct yaml_reader *y, const struct yaml_value *v, struct scn_node *n)
{
	n->params = arena_array(y->arena, v->n + 1, sizeof(*n->params));
	if (!n->params)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many values", y->file);
	for (size_t i = 0; i < v->n; i++) {
		const struct yaml_value *value = v->pairs[i].value;
		if (value->type != YAML_SCALAR)
			return yaml_error(y, value->at, "'with.%s' must be a word, not %s",
				v->pairs[i].key->text, yaml_type_name(value));
		n->params[n->n_params++] =
			(struct scn_param) { v->pairs[i].key->text, value->text, v->pairs[i].key->at };
	}
	return 0;
}

struct plugs { /* what a node says of its place */
	const struct yaml_value *node, *at, *ip, *interfaces;
};

static int read_plugs(
	struct yaml_reader *y, const struct scenario *s, const struct plugs *p, struct scn_node *n)
{
	if (p->interfaces && (p->at || p->ip))
		return yaml_error(y, p->interfaces->at,
			"'interfaces' say each their own 'at' and 'ip'; '%s' excludes them",
			p->at ? "at" : "ip");
	if (p->interfaces)
		return interfaces_read(y, s, p->interfaces, n);
	if (!p->at && !n->is_service && p->node->type == YAML_MAP)
		return yaml_error(y, p->node->at, "node '%.32s' has no 'at'", n->name);
	return place_read(y, p->ip, n);
}

/* With one of its interfaces. What is wrong with them is an error of its own. */
static bool is_on_internet(const struct scn_node *n)
{
	bool is = !n->n_ifaces;

	for (size_t i = 0; i < n->n_ifaces; i++)
		is |= n->ifaces[i].network < 0;
	return is;
}

static int read_ready_of(struct yaml_reader *y, const struct yaml_value *v, struct scn_node *n)
{
	struct adapter_ready *r = arena_alloc(y->arena, sizeof(*r));

	if (!r)
		return yaml_no_memory(y);
	if (!n->argv)
		return yaml_error(y, v->at, "'ready' is of a program given as a list; %s",
			n->adapter ? "an adapter says its own" : "nothing runs here");
	n->ready = r;
	return adapter_read_ready(y, v, r);
}

/* A program of a router: it has the router's network, and no say in it. */
static int read_on_router(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_value *service, struct scn_node *n)
{
	static const char *const of_hosts[] = { "at", "ip", "interfaces", "region", "link", "udp", "firewall",
		"user", "clock" };
	const struct yaml_value *router = yaml_get(service, "router");

	for (size_t i = 0; i < ARRAY_LEN(of_hosts); i++) {
		const struct yaml_value *v = yaml_get(service, of_hosts[i]);
		if (v)
			return yaml_error(y, v->at,
				"service '%.32s' runs on a router: '%s' is of a host of its own", n->name,
				of_hosts[i]);
	}
	n->on_router = true;
	int err = router_by_name(y, s, router->at, router->text, &n->router);
	return err || n->router >= 0
		       ? err
		       : yaml_error(y, router->at, "'internet' is no router; 'at' puts a host there");
}

static int read_node(
	struct yaml_reader *y, const struct scenario *s, const struct yaml_pair *p, struct scn_node *n)
{
	struct node_words w = { .at = "internet" };
	char what[64];

	snprintf(what, sizeof(what), "%s '%.32s'", n->is_service ? "service" : "node", p->key->text);
	int errors[11] = { name_check(y, p->key),
		schema_read_map(y, p->value, what, n->is_service ? service_rows : node_rows, &w) };
	if (scenario_find_node(s, p->key->text) >= 0 || scenario_find_router(s, p->key->text) >= 0)
		return yaml_error(y, p->key->at, "the name '%s' is used twice", p->key->text);
	const struct yaml_value *at = yaml_get(p->value, "at");
	n->name = p->key->text;
	n->at = p->key->at;
	n->udp_blocked = w.udp;
	n->start_later = w.start;
	errors[2] = router_by_name(y, s, at ? at->at : n->at, w.at, &n->router);
	errors[3] = w.run ? read_run(y, w.run, n) : 0;
	errors[4] = w.with && w.with->type == YAML_MAP ? read_with(y, w.with, n) : 0;
	errors[5] = w.router ? read_on_router(y, s, p->value, n)
			     : read_plugs(y, s, &(struct plugs) { p->value, at, w.ip, w.interfaces }, n);
	errors[7] = machine_read(y, &w.machine, &n->machine);
	errors[8] = w.firewall ? firewall_read(y, w.firewall, &n->firewall) : 0;
	errors[6] = w.ready ? read_ready_of(y, w.ready, n) : 0;
	errors[10] = w.region ? region_read(y, w.region, s, is_on_internet(n), &n->region) : 0;
	errors[9] = w.link ? link_read(y, w.link, &n->link) : 0;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i])
			return errors[i];
	return 0;
}

static int read_node_map(struct yaml_reader *y, struct scenario *s, const struct yaml_value *v, bool services)
{
	const char *what = services ? "services" : "nodes";

	if (v && v->type != YAML_MAP)
		return yaml_error(y, v->at, "'%s' must be a map, not %s", what, yaml_type_name(v));
	int first = 0;
	for (size_t i = 0; v && i < v->n; i++) {
		struct scn_node *n = &s->nodes[s->n_nodes];
		*n = (struct scn_node) { .is_service = services, .router = -1 };
		int err = read_node(y, s, &v->pairs[i], n);
		first = first ? first : err;
		s->n_nodes += n->name != NULL;
	}
	return first;
}

int nodes_read(struct yaml_reader *y, const struct yaml_value *services, const struct yaml_value *nodes,
	struct scenario *s)
{
	size_t n = (services ? services->n : 0) + (nodes ? nodes->n : 0);

	s->nodes = arena_array(y->arena, n + 1, sizeof(*s->nodes));
	if (!s->nodes)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many nodes", y->file);
	int err = read_node_map(y, s, services, true), more = read_node_map(y, s, nodes, false);
	return err ? err : more;
}
