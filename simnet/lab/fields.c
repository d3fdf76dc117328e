#include "simnet/lab/lab.h"

#include "mesh/base/text.h"
#include "simnet/scenario/oracle.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 6 };

struct lookup {
	const struct fields *f;
	unsigned depth;
};

static int lookup_key(void *owner, const char *key, struct buf *out, struct errbuf *eb);

static int append(struct buf *out, const char *text, struct errbuf *eb)
{
	return buf_append(out, text, strlen(text)) ? 0
						   : err_say(eb, ERR_TOO_LARGE, "a template grows too large");
}

static const char *fields_find(const struct scn_param *p, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(p[i].key, key))
			return p[i].value;
	return NULL;
}

static int expand_in(
	const struct lookup *from, int node, const char *text, struct buf *out, struct errbuf *eb)
{
	struct fields f = {
		.lab = from->f->lab, .node = node, .each_node = -1, .checking = from->f->checking
	};
	struct lookup deeper = { .f = &f, .depth = from->depth + 1 };
	const struct template_values v = { .lookup = lookup_key, .owner = &deeper };

	if (deeper.depth > DEPTH_MAX)
		return err_say(eb, ERR_TOO_LARGE, "templates that refer to each other in a circle");
	return template_expand(text, &v, out, eb);
}

const char *fields_words(const struct fields *f, const char *text, char *buf, size_t cap)
{
	struct buf words = { .cap = 4096 };
	struct errbuf eb;
	bool known = !fields_expand(f, text, &words, &eb) && words.len;

	snprintf(buf, cap, "%s", known ? buf_cstr(&words) : text);
	buf_free(&words);
	return buf;
}

static int with_value(const struct lookup *k, int node, const char *key, struct buf *out, struct errbuf *eb)
{
	const struct scn_node *n = &k->f->lab->s->nodes[node];
	const struct adapter *a = k->f->lab->programs[node].adapter;
	const char *given = fields_find(n->params, n->n_params, key);
	const char *value = given ? given : a ? fields_find(a->with, a->n_with, key) : NULL;

	if (!value)
		return err_say(eb, ERR_MALFORMED, "'%s' has no parameter 'with.%s'", n->name, key);
	return expand_in(k, node, value, out, eb);
}

enum { NAMES_MAX = 256 };

struct names {
	const char *list[NAMES_MAX + 1]; /* NULL-terminated */
	size_t n;
};

static void add_name(struct names *all, const char *name)
{
	if (all->n < NAMES_MAX)
		all->list[all->n++] = name;
}

static void add_keys(struct names *all, const struct scn_param *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_name(all, p[i].key);
}

static int unknown(struct errbuf *eb, const char *word, const struct names *all, const char *text)
{
	const char *near = text_nearest(word, all->list);

	if (near)
		return err_say(eb, ERR_MALFORMED, "%s; did you mean '%s'?", text, near);
	return err_say(eb, ERR_MALFORMED, "%s", text);
}

static int unknown_field(
	const struct scn_node *n, const struct adapter *a, const char *key, struct errbuf *eb)
{
	struct names all = { .list = { "name", "ip", "ip-literal", "ip6", "dir" }, .n = 5 };
	char text[200];

	if (a) {
		add_keys(&all, a->fields, a->n_fields);
		add_keys(&all, a->ready.capture, a->ready.n_capture);
		for (size_t i = 0; i < a->n_then; i++)
			add_keys(&all, a->then[i].capture, a->then[i].n_capture);
	}
	snprintf(text, sizeof(text), "'%s' has no field '%.100s'", n->name, key);
	return unknown(eb, key, &all, text);
}

static int unknown_owner(const struct scenario *s, const char *key, const char *owner, struct errbuf *eb)
{
	struct names all = { .n = 0 };
	char text[200];

	for (size_t i = 0; i < s->n_nodes; i++)
		add_name(&all, s->nodes[i].name);
	for (size_t i = 0; i < s->n_routers; i++)
		add_name(&all, s->routers[i].name);
	snprintf(text, sizeof(text), "'{%.100s}': no node '%s'", key, owner);
	return unknown(eb, owner, &all, text);
}

static int node_field(const struct lookup *k, int node, const char *key, struct buf *out, struct errbuf *eb)
{
	const struct lab *l = k->f->lab;
	const struct scn_node *n = &l->s->nodes[node];
	const struct program *p = &l->programs[node];
	char text[512];

	if (!strcmp(key, "name"))
		return append(out, n->name, eb);
	if (!strcmp(key, "ip") || !strcmp(key, "ip-literal")) {
		struct addr ip = topology_ip(l->s, lab_step_number(l), node);
		char plain[ADDR_TEXT];
		addr_format(&ip, plain);
		snprintf(text, sizeof(text), key[2] && !addr_is_v4(&ip) ? "[%s]" : "%s", plain);
		return append(out, text, eb);
	}
	if (!strcmp(key, "ip6")) {
		struct addr ip = topology_ip6(l->s, lab_step_number(l), node);
		return append(out, addr_is_unspecified(&ip) ? "none" : addr_format(&ip, text), eb);
	}
	if (!strcmp(key, "dir"))
		return append(out, program_dir(p, text, sizeof(text)), eb);
	if (!strcmp(key, "router") && n->on_router)
		return append(out, l->s->routers[n->router].name, eb);
	if (!strncmp(key, "with.", 5))
		return with_value(k, node, key + 5, out, eb);
	const char *captured = program_field(p, key);
	if (captured)
		return append(out, captured, eb);
	const char *field = p->adapter ? fields_find(p->adapter->fields, p->adapter->n_fields, key) : NULL;
	if (field)
		return expand_in(k, node, field, out, eb);
	if (!p->adapter || !adapter_has_field(p->adapter, key))
		return unknown_field(n, p->adapter, key, eb);
	if (k->f->checking)
		return append(out, "x", eb);
	err_say(eb, TEMPLATE_WAIT, "%s.%s", n->name, key);
	return TEMPLATE_WAIT;
}

/* "lan6": "none" where its hosts have no IPv6. */
static int router_field(const struct lab *l, int router, const char *key, struct buf *out, struct errbuf *eb)
{
	static const struct names all = { .list = { "wan", "lan", "lan6" }, .n = 3 };
	const struct scn_router *r = &l->s->routers[router];
	char text[PREFIX_TEXT + 100];

	if (!strcmp(key, "wan")) {
		struct scn_iface wan =
			topology_iface(l->s, lab_step_number(l), (struct scn_plug) { -1, router, 0 });
		return append(out, addr_format(&wan.ip, text), eb);
	}
	if (!strcmp(key, "lan"))
		return append(out, prefix_format(&r->lan_net, text), eb);
	if (!strcmp(key, "lan6")) {
		struct prefix net = topology_v6(l->s, router, &r->lan);
		prefix_mask(&net);
		return append(out, topology_has_v6(l->s, router) ? prefix_format(&net, text) : "none", eb);
	}
	snprintf(text, sizeof(text), "router '%.32s' has no field '%.60s'", r->name, key);
	return unknown(eb, key, &all, text);
}

static int captured_value(const struct fields *f, const char *key, struct buf *out, struct errbuf *eb)
{
	for (const struct lab_value *v = f->lab->values; v; v = v->next)
		if (!strcmp(v->key, key))
			return append(out, v->value, eb);
	for (size_t i = 0; f->checking && i < f->lab->s->n_steps; i++)
		if (f->lab->s->steps[i].capture && !strcmp(f->lab->s->steps[i].capture, key))
			return append(out, "x", eb);
	return err_say(eb, ERR_MALFORMED, "nothing was captured as '%s'", key);
}

static int each_value(const struct lookup *k, const char *key, struct buf *out, struct errbuf *eb)
{
	const struct fields *f = k->f;
	char number[16];

	if (!strcmp(key, "each") && f->each)
		return append(out, f->each, eb);
	if (f->each_node < 0 || strncmp(key, "each.", 5) != 0)
		return err_say(
			eb, ERR_MALFORMED, "'{%s}' has a meaning only where something is done for each", key);
	if (!strcmp(key, "each.index")) {
		snprintf(number, sizeof(number), "%u", f->each_index);
		return append(out, number, eb);
	}
	return node_field(k, f->each_node, key + 5, out, eb);
}

/* {oracle.alice->bob}: what is expected where the running step is. */
static int oracle_value(const struct fields *f, const char *pair, struct buf *out, struct errbuf *eb)
{
	const struct scenario *s = f->lab->s;
	const char *arrow = strstr(pair, "->");
	char from[64];
	struct oracle_verdict v;

	snprintf(from, sizeof(from), "%.*s", arrow ? (int)(arrow - pair) : 0, pair);
	int a = scenario_find_node(s, from), b = arrow ? scenario_find_node(s, arrow + 2) : -1;
	if (a < 0 || b < 0)
		return err_say(eb, ERR_MALFORMED,
			"'{oracle.%s}' does not name two nodes, as {oracle.alice->bob}", pair);
	oracle_ask(s, f->lab->step ? (size_t)(f->lab->step - s->steps) : 0, a, b, &v);
	return v.path == PATH_ANY ? err_say(eb, ERR_MALFORMED, "'{oracle.%s}': %s", pair, v.why)
				  : append(out, scenario_path_name(v.path), eb);
}

static int lookup_key(void *owner, const char *key, struct buf *out, struct errbuf *eb)
{
	const struct lookup *k = owner;
	const struct fields *f = k->f;
	const char *dot = strchr(key, '.');
	char first[64];

	if (!strcmp(key, "to") && f->to)
		return append(out, f->to, eb);
	if (!strncmp(key, "each", 4) && (!key[4] || key[4] == '.'))
		return each_value(k, key, out, eb);
	if (!strncmp(key, "oracle.", 7))
		return oracle_value(f, key + 7, out, eb);
	if (!strncmp(key, "capture.", 8))
		return captured_value(f, key + 8, out, eb);
	if (dot && strncmp(key, "with.", 5) != 0) {
		snprintf(first, sizeof(first), "%.*s", (int)(dot - key), key);
		int node = scenario_find_node(f->lab->s, first);
		if (node >= 0)
			return node_field(k, node, dot + 1, out, eb);
		int router = scenario_find_router(f->lab->s, first);
		if (router >= 0)
			return router_field(f->lab, router, dot + 1, out, eb);
		return unknown_owner(f->lab->s, key, first, eb);
	}
	if (f->node < 0)
		return err_say(eb, ERR_MALFORMED, "'{%s}' does not say of which node", key);
	return node_field(k, f->node, key, out, eb);
}

int fields_expand(const struct fields *f, const char *text, struct buf *out, struct errbuf *eb)
{
	struct lookup k = { .f = f };
	const struct template_values v = { .lookup = lookup_key, .owner = &k };
	return template_expand(text, &v, out, eb);
}

int fields_argv(const struct fields *f, const char *const *argv, char ***out, struct errbuf *eb)
{
	size_t n = 0;
	int err = 0;

	while (argv[n])
		n++;
	char **full = calloc(n + 1, sizeof(*full));
	if (!full)
		return err_say(eb, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n && !err; i++) {
		struct buf b = { .cap = 1 << 16 };
		err = fields_expand(f, argv[i], &b, eb);
		const char *text = err ? NULL : buf_cstr(&b);
		if (text && !(full[i] = strdup(text)))
			err = err_say(eb, -ENOMEM, "out of memory");
		buf_free(&b);
	}
	if (err) {
		fields_argv_free(full);
		return err;
	}
	*out = full;
	return 0;
}

void fields_argv_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/* ---- lint */

static int check_text(const struct fields *f, const char *text, struct errbuf *eb)
{
	struct buf out = { .cap = 1 << 18 };
	int err = text ? fields_expand(f, text, &out, eb) : 0;
	buf_free(&out);
	return err;
}

static int check_argv(const struct fields *f, const char *const *argv, struct errbuf *eb)
{
	int err = 0;
	for (size_t i = 0; argv && argv[i] && !err; i++)
		err = check_text(f, argv[i], eb);
	return err;
}

static int check_params(
	const struct scenario *s, const struct scn_node *n, const struct adapter *a, struct errbuf *eb)
{
	struct names all = { .n = 0 };
	char text[300];

	add_keys(&all, a->with, a->n_with);
	for (size_t i = 0; i < n->n_params; i++) {
		const struct scn_param *p = &n->params[i];
		snprintf(text, sizeof(text), AT_FMT ": adapter '%s' knows no parameter '%.60s'",
			AT_ARGS(s->file, p->at), a->name, p->key);
		if (!fields_find(a->with, a->n_with, p->key))
			return unknown(eb, p->key, &all, text);
	}
	return 0;
}

int fields_file_path(const struct fields *f, const char *text, struct buf *out, struct errbuf *eb)
{
	char dir[512];
	int err = fields_expand(f, text, out, eb);
	if (err)
		return err;
	size_t len = strlen(program_dir(&f->lab->programs[f->node], dir, sizeof(dir)));
	const char *path = buf_cstr(out),
		   *name = path && !strncmp(path, dir, len) && path[len] == '/' ? path + len + 1 : "";
	if (*name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return 0;
	return err_say(eb, ERR_MALFORMED,
		"adapter '%s' would write '%s': its files are '{dir}/NAME', nowhere else",
		f->lab->programs[f->node].adapter->name, text);
}

static int check_path(const struct fields *f, const char *text, struct errbuf *eb)
{
	struct buf path = { .cap = 512 };
	int err = fields_file_path(f, text, &path, eb);
	buf_free(&path);
	return err;
}

static int check_adapter(const struct lab *l, int node, struct errbuf *eb)
{
	const struct scn_node *n = &l->s->nodes[node];
	const struct adapter *a = l->programs[node].adapter;
	struct fields f = { .lab = l, .node = node, .each_node = -1, .checking = true };

	int err = check_argv(&f, a->needs, eb);
	if (!err)
		err = check_text(&f, a->ready.port, eb);
	if (!err)
		err = check_argv(&f, a->start, eb);
	for (size_t i = 0; i < a->n_fields && !err; i++)
		err = check_text(&f, a->fields[i].value, eb);
	for (size_t i = 0; i < a->n_files && !err; i++) {
		err = check_path(&f, a->files[i].path, eb);
		if (!err)
			err = check_text(&f, a->files[i].text, eb);
	}
	for (size_t i = 0; i < a->n_then && !err; i++) {
		f.each = a->then[i].each ? "x" : NULL;
		err = check_text(&f, a->then[i].on, eb);
		if (!err && !a->then[i].each)
			err = check_argv(&f, a->then[i].argv, eb);
	}
	f.to = n->name;
	if (!err)
		err = check_argv(&f, a->path_argv, eb);
	if (!err)
		err = check_text(&f, a->probe.to, eb);
	if (!err)
		err = check_argv(&f, a->home_argv, eb);
	return err ? err : check_argv(&f, a->drops_argv, eb);
}

static int at_place(const struct lab *l, struct scn_at at, int err, struct errbuf *eb)
{
	char text[300];

	if (!err)
		return 0;
	snprintf(text, sizeof(text), "%.299s", eb->text);
	return err_say(eb, ERR_MALFORMED, AT_FMT ": %s", AT_ARGS(l->s->file, at), text);
}

/* What the prober's adapter says of the probed must be so there, as the echo of a program that both run. */
static int check_probe(const struct lab *l, int from, const struct scn_step *st, struct errbuf *eb)
{
	const struct adapter *a = l->programs[from].adapter;
	struct fields f = { .lab = l, .node = from, .each_node = -1, .to = st->to, .checking = true };
	struct errbuf why = { 0 };

	if (!a || !a->probe.how || scenario_find_node(l->s, st->to) < 0 || !check_text(&f, a->probe.to, &why))
		return 0;
	return err_say(eb, ERR_MALFORMED,
		"adapter '%s' of '%s' cannot probe '%s': %s; if the underlay is meant, say '{%s.ip}'",
		a->name, st->from, st->to, why.text, st->to);
}

/* Who is probed by name must be there by that name: a ping of the underlay proves nothing of a mesh. */
static int check_target(const struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	int from = scenario_find_node(l->s, st->from);
	const struct adapter *a = l->programs[from].adapter;
	struct target t = target_plan(l, from, st->to);
	bool asks_path = st->path != PATH_ANY || st->oracle;
	bool measures = st->kind == STEP_PING || !asks_path;

	if (asks_path && (!a || !a->path_argv))
		return err_say(eb, ERR_MALFORMED, "'%s' runs nothing that can tell its path", st->from);
	if (t.underlay && (asks_path || (a && a->mesh_name)))
		return err_say(eb, ERR_MALFORMED,
			"'%s' has no name in the mesh of '%s': this would go over the underlay and prove "
			"nothing; if that is "
			"meant, say '{%s.ip}'",
			st->to, st->from, st->to);
	if (t.by_word && measures && a)
		return err_say(eb, ERR_MALFORMED,
			"nothing is sent from '%s' to '%s': adapter '%s' has neither 'mesh-name' nor 'probe'",
			st->from, st->to, a->name);
	return measures ? check_probe(l, from, st, eb) : 0;
}

static int check_home(const struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	const struct adapter *a = l->programs[scenario_find_node(l->s, st->from)].adapter;

	return a && a->home_argv ? 0
				 : err_say(eb, ERR_MALFORMED,
					   "'%s' runs nothing that can tell its home relay", st->from);
}

static int check_node(const struct lab *l, int node, struct errbuf *eb)
{
	const struct scn_node *n = &l->s->nodes[node];
	struct fields f = { .lab = l, .node = node, .each_node = -1, .checking = true };
	int err = 0;

	if (n->adapter && (err = check_params(l->s, n, l->programs[node].adapter, eb)))
		return err;
	if (l->programs[node].adapter)
		err = check_adapter(l, node, eb);
	else if (n->argv)
		err = check_argv(&f, n->argv, eb);
	for (size_t i = 0; i < n->machine.n_files && !err; i++)
		err = check_text(&f, n->machine.files[i].text, eb);
	return at_place(l, n->at, err, eb);
}

static int check_step(const struct lab *l, const struct scn_step *st, struct errbuf *eb)
{
	int node = st->target ? scenario_find_node(l->s, st->target)
		   : st->from ? scenario_find_node(l->s, st->from)
			      : -1;
	struct fields f = { .lab = l, .node = node, .each_node = -1, .checking = true };
	const char *const texts[] = { st->is, st->name, st->to, st->json_path };
	int err = st->to && (st->kind == STEP_PING || st->kind == STEP_EXPECT) ? check_target(l, st, eb) : 0;

	if (!err && st->kind == STEP_EXPECT && !st->to)
		err = check_home(l, st, eb);

	if (!err)
		err = check_argv(&f, st->argv, eb);
	for (size_t i = 0; i < ARRAY_LEN(texts) && !err; i++)
		err = check_text(&f, texts[i], eb);
	return at_place(l, st->at, err, eb);
}

int fields_check(struct lab *l, struct scn_errors *all, struct errbuf *eb)
{
	int first = 0;

	for (size_t i = 0; i < l->s->n_nodes + l->s->n_steps; i++) {
		bool is_node = i < l->s->n_nodes;
		struct errbuf one = { 0 };
		l->step = is_node ? NULL : &l->s->steps[i - l->s->n_nodes];
		int err = is_node ? check_node(l, (int)i, &one) : check_step(l, l->step, &one);
		if (err)
			scenario_error(all, "%s", one.text);
		if (err && !first) {
			first = err;
			*eb = one;
		}
	}
	l->step = NULL;
	return first;
}
