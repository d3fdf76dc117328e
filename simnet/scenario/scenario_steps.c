#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include "simnet/scenario/dnsmsg.h"
#include "simnet/scenario/jsonpath.h"
#include "simnet/scenario/oracle.h"
#include <assert.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

/* A step as its rows see it: the step, and words that become fields of it. */
struct step_words {
	struct scn_step st;
	const char *path, *gap; /* "a->b" */
	int via, is_path;
};

enum { FAILS_MS = 3000 }; /* how long no reply must be heard, unless the file says otherwise */

#define AT(field) offsetof(struct step_words, field)

static const char *const via_words[] = { "any", "direct", "relay", NULL };
static const char *const is_words[] = { "any", "direct", "relay", "none", "oracle", NULL };
enum { IS_ORACLE = PATH_NONE + 1 };
static_assert(
	PATH_DIRECT == 1 && PATH_RELAY == 2 && PATH_NONE == 3, "via_words and is_words follow enum scn_path");

static int read_argv(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	const char ***argv = &((struct step_words *)base)->st.argv;
	int err = v->type == YAML_LIST && !v->n
			  ? yaml_error(
				    y, v->at, "'argv' is an empty list; it names a program and its arguments")
			  : yaml_read_strings(y, v, "argv", argv);
	return err || *(*argv)[0] ? err
				  : yaml_error(y, v->items[0]->at, "'argv' begins with no program's name");
}

static const struct yaml_row ping_rows[] = {
	{ "from", YAML_STRING, AT(st.from), true, NULL, NULL },
	{ "to", YAML_STRING, AT(st.to), true, NULL, NULL },
	{ "via", YAML_WORD, AT(via), false, via_words, NULL },
	{ "within", YAML_DURATION, AT(st.within_ms), false, NULL, NULL },
	{ "fails", YAML_BOOL, AT(st.fails), false, NULL, NULL },
	{ 0 },
};
static const struct yaml_row resolve_rows[] = {
	{ "from", YAML_STRING, AT(st.from), true, NULL, NULL },
	{ "name", YAML_STRING, AT(st.name), true, NULL, NULL },
	{ "type", YAML_STRING, AT(st.type), false, NULL, NULL },
	{ "is", YAML_STRING, AT(st.is), false, NULL, NULL },
	{ "within", YAML_DURATION, AT(st.within_ms), false, NULL, NULL },
	{ "fails", YAML_BOOL, AT(st.fails), false, NULL, NULL },
	{ 0 },
};
static const struct yaml_row expect_rows[] = {
	{ "path", YAML_STRING, AT(path), false, NULL, NULL },
	{ "is", YAML_WORD, AT(is_path), false, is_words, NULL },
	{ "gap", YAML_STRING, AT(gap), false, NULL, NULL },
	{ "max", YAML_DURATION, AT(st.max_gap_ms), false, NULL, NULL },
	{ "lost", YAML_U64, AT(st.max_lost), false, NULL, NULL },
	{ "within", YAML_DURATION, AT(st.within_ms), false, NULL, NULL },
	{ "for", YAML_DURATION, AT(st.for_ms), false, NULL, NULL },
	{ 0 },
};
static const struct yaml_row run_rows[] = {
	{ "at", YAML_STRING, AT(st.target), true, NULL, NULL },
	{ "argv", YAML_CUSTOM, 0, true, NULL, read_argv },
	{ "exit", YAML_INT, AT(st.exit_code), false, NULL, NULL },
	{ "json", YAML_STRING, AT(st.json_path), false, NULL, NULL },
	{ "is", YAML_STRING, AT(st.is), false, NULL, NULL },
	{ "matches", YAML_STRING, AT(st.matches), false, NULL, NULL },
	{ "capture", YAML_STRING, AT(st.capture), false, NULL, NULL },
	{ "within", YAML_DURATION, AT(st.within_ms), false, NULL, NULL },
	{ "fails", YAML_BOOL, AT(st.fails), false, NULL, NULL },
	{ 0 },
};
static const struct yaml_row spawn_rows[] = {
	{ "at", YAML_STRING, AT(st.target), true, NULL, NULL },
	{ "argv", YAML_CUSTOM, 0, false, NULL, read_argv },
	{ "ready", YAML_BOOL, AT(st.wait_ready), false, NULL, NULL },
	{ "within", YAML_DURATION, AT(st.within_ms), false, NULL, NULL },
	{ 0 },
};
static const struct yaml_row kill_rows[] = {
	{ "at", YAML_STRING, AT(st.target), true, NULL, NULL },
	{ "signal", YAML_STRING, AT(st.signal), false, NULL, NULL },
	{ 0 },
};
static const struct yaml_row target_rows[] = {
	{ "at", YAML_STRING, AT(st.target), true, NULL, NULL },
	{ 0 },
};
static const struct yaml_row wait_rows[] = {
	{ "for", YAML_DURATION, AT(st.for_ms), true, NULL, NULL },
	{ 0 },
};

static const struct yaml_row mark_rows[] = {
	{ "name", YAML_STRING, AT(st.name), true, NULL, NULL },
	{ 0 },
};

/* `short_row`: what a bare word after the kind means ("kill: bob"); -1 = not allowed. */
static const struct step_form {
	const char *word;
	const struct yaml_row *rows;
	int short_row;
	uint64_t within_ms;
} forms[] = {
	[STEP_PING] = { "ping", ping_rows, -1, 10000 },
	[STEP_RESOLVE] = { "resolve", resolve_rows, -1, 5000 },
	[STEP_EXPECT] = { "expect", expect_rows, -1, 15000 },
	[STEP_RUN] = { "run", run_rows, -1, 10000 },
	[STEP_SPAWN] = { "spawn", spawn_rows, 0, 15000 },
	[STEP_KILL] = { "kill", kill_rows, 0, 5000 },
	[STEP_CUT] = { "cut", target_rows, 0, 5000 },
	[STEP_HEAL] = { "heal", target_rows, 0, 5000 },
	[STEP_RESET] = { "reset", target_rows, 0, 5000 },
	[STEP_WAIT] = { "wait", wait_rows, 0, 0 },
	[STEP_MARK] = { "mark", mark_rows, 0, 0 },
};
static_assert(ARRAY_LEN(forms) == STEP_KINDS, "forms misses a kind of step");

const char *scenario_step_name(enum step_kind k)
{
	return forms[k].word;
}

const char *scenario_path_name(enum scn_path p)
{
	return is_words[p];
}

/* ---- what must be right together */

/* A step and where its words stand. */
struct checking {
	struct yaml_reader *y;
	const struct scenario *s; /* with the steps before this one */
	const struct scn_step *st;
	const struct yaml_value *body;
};

static struct scn_at where(const struct checking *c, const char *key)
{
	const struct yaml_value *v = c->body->type == YAML_MAP ? yaml_get(c->body, key) : c->body;
	return v ? v->at : c->st->at;
}

static int unknown_name(const struct checking *c, const char *key, const char *what, const char *name,
	bool nodes, bool routers)
{
	const char *names[512];
	size_t n = 0;

	for (size_t i = 0; nodes && i < c->s->n_nodes && n < ARRAY_LEN(names) - 1; i++)
		names[n++] = c->s->nodes[i].name;
	for (size_t i = 0; routers && i < c->s->n_routers && n < ARRAY_LEN(names) - 1; i++)
		names[n++] = c->s->routers[i].name;
	names[n] = NULL;
	return yaml_error_near(c->y, where(c, key), name, names, "no %s '%.100s'", what, name);
}

static int check_node(const struct checking *c, const char *key, const char *name)
{
	return scenario_find_node(c->s, name) >= 0 ? 0 : unknown_name(c, key, "node", name, true, false);
}

static int check_host(const struct checking *c)
{
	const char *name = c->st->target;
	return scenario_find_node(c->s, name) >= 0 || scenario_find_router(c->s, name) >= 0
		       ? 0
		       : unknown_name(c, "at", "node or router", name, true, true);
}

/* "home", "home.udp", "alice.link": what cut and heal act on. */
static int check_cut(const struct checking *c)
{
	static const char *const parts[] = { "udp", "link", NULL };
	const char *target = c->st->target, *dot = strchr(target, '.');
	char name[64];

	if (!dot)
		return yaml_error(c->y, where(c, "at"),
			"'%s' does not say what to cut: '%s.udp' or '%s.link'", target, target, target);
	snprintf(name, sizeof(name), "%.*s", (int)(dot - target), target);
	if (scenario_find_node(c->s, name) < 0 && scenario_find_router(c->s, name) < 0)
		return unknown_name(c, "at", "node or router", name, true, true);
	if (strcmp(dot + 1, "udp") != 0 && strcmp(dot + 1, "link") != 0)
		return yaml_error_near(c->y, where(c, "at"), dot + 1, parts,
			"cannot cut '%s' of '%s' (udp, link)", dot + 1, name);
	return 0;
}

static int check_signal(const struct checking *c)
{
	static const char *const words[] = { "KILL", "TERM", "INT", "HUP", "STOP", "CONT", "USR1", "USR2",
		NULL };

	for (size_t i = 0; words[i]; i++)
		if (!strcmp(c->st->signal, words[i]))
			return 0;
	return yaml_error_near(
		c->y, where(c, "signal"), c->st->signal, words, "unknown signal '%s'", c->st->signal);
}

static int check_destination(const struct checking *c)
{
	if (strpbrk(c->st->to, ".:{") || scenario_find_node(c->s, c->st->to) >= 0)
		return 0; /* an address, a name of the mesh, or a template */
	return unknown_name(c, "to", "node", c->st->to, true, false);
}

static int check_router(const struct checking *c)
{
	int router = scenario_find_router(c->s, c->st->target);

	if (router < 0)
		return unknown_name(c, "at", "router", c->st->target, false, true);
	if (!c->s->routers[router].nat)
		return yaml_error(c->y, where(c, "at"), "router '%s' has no NAT to reset", c->st->target);
	return 0;
}

/* {capture.NAME} must be able to name it. */
static int check_capture(const struct checking *c)
{
	const char *name = c->st->capture;
	size_t n =
		name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") : 0;

	return !name || (n && !name[n])
		       ? 0
		       : yaml_error(c->y, where(c, "capture"),
				 "'%.100s' is not a usable name: letters, digits, '-' and '_'", name);
}

static int check_run(const struct checking *c)
{
	const struct scn_step *st = c->st;
	regex_t re;

	if (st->fails && (st->exit_code >= 0 || st->capture))
		return yaml_error(c->y, where(c, "fails"),
			"a program that fails has no '%s': it and 'fails' exclude each other",
			st->capture ? "capture" : "exit");
	if (st->exit_code > 255)
		return yaml_error(
			c->y, where(c, "exit"), "no program ends with %d; at most 255", st->exit_code);
	if (st->json_path && !strchr(st->json_path, '{') && !jsonpath_good(st->json_path))
		return yaml_error(c->y, where(c, "json"),
			"'%s' is not a JSON path, as Peer.*[HostName=bob].CurAddr", st->json_path);
	if (st->matches && regcomp(&re, st->matches, REG_EXTENDED | REG_NOSUB) != 0)
		return yaml_error(c->y, where(c, "matches"),
			"'%s' is not a regular expression (POSIX extended)", st->matches);
	if (st->matches)
		regfree(&re);
	return check_capture(c);
}

static int check_spawn(const struct checking *c)
{
	const struct scn_node *n = &c->s->nodes[scenario_find_node(c->s, c->st->target)];

	return c->st->argv || n->adapter || n->argv
		       ? 0
		       : yaml_error(c->y, where(c, "at"),
				 "'%s' runs nothing by itself; 'argv' says what to start", n->name);
}

static int check_resolve(const struct checking *c)
{
	static const char *const types[] = { "A", "AAAA", "PTR", "CNAME", "TXT", "NS", "SOA", "MX", "SRV",
		NULL };

	if (c->st->type && !dnsmsg_type(c->st->type))
		return yaml_error_near(
			c->y, where(c, "type"), c->st->type, types, "unknown record type '%s'", c->st->type);
	return c->st->fails && c->st->is
		       ? yaml_error(c->y, where(c, "fails"),
				 "what does not resolve has no value: 'is' and 'fails' exclude each other")
		       : 0;
}

/* Only what is pinged has gaps. */
static int check_gap(const struct checking *c)
{
	for (size_t i = 0; c->st->path == PATH_ANY && !c->st->oracle; i++) {
		const struct scn_step *old = &c->s->steps[i];
		if (i == c->s->n_steps)
			return yaml_error(c->y, where(c, "gap"),
				"nothing pings from %s to %s yet; a 'ping' step before this one begins that",
				c->st->from, c->st->to);
		if ((old->kind == STEP_EXPECT || (old->kind == STEP_PING && !old->fails)) &&
			!strcmp(old->from, c->st->from) && !strcmp(old->to, c->st->to))
			break;
	}
	return 0;
}

static int check_oracle(const struct checking *c)
{
	struct oracle_verdict v;

	oracle_ask(c->s, c->s->n_steps, scenario_find_node(c->s, c->st->from),
		scenario_find_node(c->s, c->st->to), &v);
	return v.path != PATH_ANY ? 0
				  : yaml_error(c->y, where(c, "is"),
					    "no oracle here, say the path that is right: %s", v.why);
}

static int check_expect(const struct checking *c)
{
	const char *key = yaml_get(c->body, "path") ? "path" : "gap";
	int err = check_node(c, key, c->st->from);

	if (!err)
		err = check_node(c, key, c->st->to);
	return err ? err : c->st->oracle ? check_oracle(c) : check_gap(c);
}

static int check_step(const struct checking *c)
{
	const struct scn_step *st = c->st;
	int err = 0;

	switch (st->kind) {
	case STEP_PING: err = check_node(c, "from", st->from); return err ? err : check_destination(c);
	case STEP_RESOLVE: err = check_node(c, "from", st->from); return err ? err : check_resolve(c);
	case STEP_EXPECT: return check_expect(c);
	case STEP_RUN: err = check_host(c); return err ? err : check_run(c);
	case STEP_SPAWN: err = check_node(c, "at", st->target); return err ? err : check_spawn(c);
	case STEP_KILL: err = check_node(c, "at", st->target); return err ? err : check_signal(c);
	case STEP_CUT:
	case STEP_HEAL: return check_cut(c);
	case STEP_RESET: return check_router(c);
	default: return 0;
	}
}

/* ---- one step */

static int split_pair(struct yaml_reader *y, struct scn_step *st, const char *pair)
{
	const char *arrow = strstr(pair, "->");

	if (!arrow || arrow == pair || !arrow[2])
		return yaml_error(y, st->at, "'%s' must be two nodes, as alice->bob", pair);
	st->from = arena_strndup(y->arena, pair, (size_t)(arrow - pair));
	st->to = arena_strdup(y->arena, arrow + 2);
	return st->from && st->to ? 0
				  : err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
}

static int finish_expect(struct yaml_reader *y, struct step_words *w)
{
	bool bounds = w->st.max_gap_ms != UINT64_MAX || w->st.max_lost != UINT64_MAX;

	if (!w->path == !w->gap)
		return yaml_error(y, w->st.at, "expect needs 'path' or 'gap', and not both");
	if (w->path && (w->is_path == PATH_ANY || bounds))
		return yaml_error(y, w->st.at,
			"'path' needs 'is' (direct, relay, none or oracle) and no 'max' or 'lost'");
	if (w->gap && (w->is_path != PATH_ANY || !bounds))
		return yaml_error(y, w->st.at, "'gap' needs 'max' or 'lost', and no 'is'");
	w->st.oracle = w->is_path == IS_ORACLE;
	w->st.path = w->st.oracle ? PATH_ANY : (enum scn_path)w->is_path;
	return split_pair(y, &w->st, w->path ? w->path : w->gap);
}

static int find_kind(struct yaml_reader *y, const struct yaml_value *key, enum step_kind *out)
{
	const char *names[STEP_KINDS + 2];

	for (size_t k = 0; k < STEP_KINDS; k++) {
		names[k] = forms[k].word;
		if (!strcmp(forms[k].word, key->text)) {
			*out = (enum step_kind)k;
			return 0;
		}
	}
	names[STEP_KINDS] = "say";
	names[STEP_KINDS + 1] = NULL;
	return yaml_error_near(y, key->at, key->text, names, "unknown step '%s'", key->text);
}

/* {kind: body, say: text} */
static int read_item(struct yaml_reader *y, const struct yaml_value *item, struct step_words *w,
	const struct yaml_value **body)
{
	static const struct yaml_row say = { "say", YAML_STRING, AT(st.title), false, NULL, NULL };

	if (item->type != YAML_MAP || !item->n)
		return yaml_error(y, item->at,
			"a step must be a map with one kind, as '- ping: {from: a, to: b}', not %s",
			yaml_type_name(item));
	for (size_t i = 0; i < item->n; i++) {
		const struct yaml_pair *p = &item->pairs[i];
		int err = 0;
		if (!strcmp(p->key->text, "say"))
			err = yaml_read_scalar(y, p->value, "say", &say, w);
		else if (*body)
			err = yaml_error(
				y, p->key->at, "one step does one thing; '%s' is a second", p->key->text);
		else if (!(err = find_kind(y, p->key, &w->st.kind)))
			*body = p->value;
		if (err)
			return err;
		if (*body == p->value)
			w->st.at = p->key->at;
	}
	return *body ? 0 : yaml_error(y, item->at, "a step must do something; this one only says");
}

static int read_step(
	struct yaml_reader *y, const struct yaml_value *item, const struct scenario *s, struct scn_step *out)
{
	struct step_words w = { .st = { .max_gap_ms = UINT64_MAX,
					.max_lost = UINT64_MAX,
					.exit_code = -1,
					.wait_ready = true } };
	const struct yaml_value *body = NULL;

	int err = read_item(y, item, &w, &body);
	if (err || !body)
		return err;
	const struct step_form *f = &forms[w.st.kind];
	if (body->type == YAML_SCALAR && f->short_row >= 0)
		err = yaml_read_scalar(y, body, f->word, &f->rows[f->short_row], &w);
	else
		err = yaml_read_map(y, body, f->word, f->rows, &w);
	if (!err && w.st.kind == STEP_EXPECT)
		err = finish_expect(y, &w);
	if (err)
		return err;
	if (w.st.kind == STEP_PING)
		w.st.path = (enum scn_path)w.via;
	if (w.st.kind == STEP_KILL && !w.st.signal)
		w.st.signal = "KILL";
	if (!w.st.within_ms)
		w.st.within_ms = w.st.fails && w.st.kind == STEP_PING ? FAILS_MS : f->within_ms;
	if (w.st.kind == STEP_WAIT && (!w.st.title || !*w.st.title))
		return yaml_error(y, w.st.at, "'wait' is a plain pause and must give its reason in 'say'");
	if (w.st.fails && w.st.path != PATH_ANY)
		return yaml_error(
			y, w.st.at, "a ping that fails has no path: 'via' and 'fails' exclude each other");
	*out = w.st;
	return check_step(&(struct checking) { .y = y, .s = s, .st = out, .body = body });
}

int steps_read(struct yaml_reader *y, const struct yaml_value *list, struct scenario *s)
{
	if (!list)
		return 0;
	if (list->type != YAML_LIST)
		return yaml_error(y, list->at, "'steps' must be a list, not %s", yaml_type_name(list));
	s->steps = arena_array(y->arena, list->n + 1, sizeof(*s->steps));
	if (!s->steps)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many steps", y->file);
	int first = 0;
	for (size_t i = 0; i < list->n; i++) {
		int err = read_step(y, list->items[i], s, &s->steps[s->n_steps]);
		s->n_steps += !err;
		first = first ? first : err;
	}
	return first;
}
