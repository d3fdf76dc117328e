#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include "simnet/scenario/condition.h"
#include "simnet/scenario/dnsmsg.h"
#include "simnet/scenario/jsonpath.h"
#include "simnet/scenario/oracle.h"
#include <regex.h>
#include <stdio.h>
#include <string.h>

/* What must be right together in a step: names that are there, words that exclude each other. */

struct scn_at step_where(const struct step_place *c, const char *key)
{
	const struct yaml_value *v = c->body->type == YAML_MAP ? yaml_get(c->body, key) : c->body;
	return v ? v->at : c->st->at;
}

int step_unknown_name(const struct step_place *c, const char *key, const char *what, const char *name,
	bool nodes, bool routers)
{
	const char *names[512];
	size_t n = 0;

	for (size_t i = 0; nodes && i < c->s->n_nodes && n < ARRAY_LEN(names) - 1; i++)
		names[n++] = c->s->nodes[i].name;
	for (size_t i = 0; routers && i < c->s->n_routers && n < ARRAY_LEN(names) - 1; i++)
		names[n++] = c->s->routers[i].name;
	names[n] = NULL;
	return yaml_error_near(c->y, step_where(c, key), name, names, "no %s '%.100s'", what, name);
}

static int check_node(const struct step_place *c, const char *key, const char *name)
{
	return scenario_find_node(c->s, name) >= 0 ? 0 : step_unknown_name(c, key, "node", name, true, false);
}

static int check_host(const struct step_place *c)
{
	const char *name = c->st->target;
	return scenario_find_node(c->s, name) >= 0 || scenario_find_router(c->s, name) >= 0
		       ? 0
		       : step_unknown_name(c, "at", "node or router", name, true, true);
}

/* "home", "home.udp", "alice.link": what cut and heal act on. */
static int check_cut(const struct step_place *c)
{
	static const char *const parts[] = { "udp", "link", "carrier", NULL };
	const char *target = c->st->target, *dot = strchr(target, '.');
	char name[64];

	if (!dot)
		return yaml_error(c->y, step_where(c, "at"),
			"'%s' does not say what to cut: '%s.udp' or '%s.link'", target, target, target);
	snprintf(name, sizeof(name), "%.*s", (int)(dot - target), target);
	if (scenario_find_node(c->s, name) < 0 && scenario_find_router(c->s, name) < 0)
		return step_unknown_name(c, "at", "node or router", name, true, true);
	if (strcmp(dot + 1, "udp") != 0 && strcmp(dot + 1, "link") != 0 && strcmp(dot + 1, "carrier") != 0)
		return yaml_error_near(c->y, step_where(c, "at"), dot + 1, parts,
			"cannot cut '%s' of '%s' (udp, link, carrier)", dot + 1, name);
	return 0;
}

static int check_signal(const struct step_place *c)
{
	static const char *const words[] = { "KILL", "TERM", "INT", "HUP", "STOP", "CONT", "USR1", "USR2",
		NULL };

	for (size_t i = 0; words[i]; i++)
		if (!strcmp(c->st->signal, words[i]))
			return 0;
	return yaml_error_near(
		c->y, step_where(c, "signal"), c->st->signal, words, "unknown signal '%s'", c->st->signal);
}

static int check_destination(const struct step_place *c)
{
	if (strpbrk(c->st->to, ".:{") || scenario_find_node(c->s, c->st->to) >= 0)
		return 0; /* an address, a name of the mesh, or a template */
	return step_unknown_name(c, "to", "node", c->st->to, true, false);
}

static int check_router(const struct step_place *c)
{
	int router = scenario_find_router(c->s, c->st->target);

	if (router < 0)
		return step_unknown_name(c, "at", "router", c->st->target, false, true);
	if (!c->s->routers[router].nat)
		return yaml_error(
			c->y, step_where(c, "at"), "router '%s' has no NAT to reset", c->st->target);
	return 0;
}

/* {capture.NAME} must be able to name it. */
static int check_capture(const struct step_place *c)
{
	const char *name = c->st->capture;
	size_t n =
		name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") : 0;

	return !name || (n && !name[n])
		       ? 0
		       : yaml_error(c->y, step_where(c, "capture"),
				 "'%.100s' is not a usable name: letters, digits, '-' and '_'", name);
}

static int check_run(const struct step_place *c)
{
	const struct scn_step *st = c->st;
	regex_t re;

	if (st->fails && (st->exit_code >= 0 || st->capture))
		return yaml_error(c->y, step_where(c, "fails"),
			"a program that fails has no '%s': it and 'fails' exclude each other",
			st->capture ? "capture" : "exit");
	if (st->exit_code > 255)
		return yaml_error(
			c->y, step_where(c, "exit"), "no program ends with %d; at most 255", st->exit_code);
	if (st->json_path && !strchr(st->json_path, '{') && !jsonpath_good(st->json_path))
		return yaml_error(c->y, step_where(c, "json"),
			"'%s' is not a JSON path, as Peer.*[HostName=bob].CurAddr", st->json_path);
	if (st->matches && regcomp(&re, st->matches, REG_EXTENDED | REG_NOSUB) != 0)
		return yaml_error(c->y, step_where(c, "matches"),
			"'%s' is not a regular expression (POSIX extended)%s", st->matches,
			strchr(st->matches, '{') ? "; a brace that is meant as one is written \\{" : "");
	if (st->matches)
		regfree(&re);
	struct condition number;
	if (st->is && condition_meant(st->is) && !strchr(st->is, '{') && !condition_parse(st->is, &number))
		return yaml_error(c->y, step_where(c, "is"),
			"'%.100s' is not a condition on a number, as '>= 3'", st->is);
	return check_capture(c);
}

static int check_spawn(const struct step_place *c)
{
	const struct scn_node *n = &c->s->nodes[scenario_find_node(c->s, c->st->target)];

	return c->st->argv || n->adapter || n->argv
		       ? 0
		       : yaml_error(c->y, step_where(c, "at"),
				 "'%s' runs nothing by itself; 'argv' says what to start", n->name);
}

static int check_resolve(const struct step_place *c)
{
	static const char *const types[] = { "A", "AAAA", "PTR", "CNAME", "TXT", "NS", "SOA", "MX", "SRV",
		NULL };

	if (c->st->type && !dnsmsg_type(c->st->type))
		return yaml_error_near(c->y, step_where(c, "type"), c->st->type, types,
			"unknown record type '%s'", c->st->type);
	return c->st->fails && c->st->is
		       ? yaml_error(c->y, step_where(c, "fails"),
				 "what does not resolve has no value: 'is' and 'fails' exclude each other")
		       : 0;
}

/* Whoever asks has pinged something that is no node, as an address inside a tunnel. */
static bool has_pinged_address(const struct step_place *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct scn_step *old = &c->s->steps[i];
		if (old->kind == STEP_PING && !old->fails && !strcmp(old->from, c->st->from) &&
			scenario_find_node(c->s, old->to) < 0)
			return true;
	}
	return false;
}

/* Only what is pinged has gaps. */
static int check_gap(const struct step_place *c)
{
	for (size_t i = 0; c->st->path == PATH_ANY && !c->st->oracle; i++) {
		const struct scn_step *old = &c->s->steps[i];
		if (i == c->s->n_steps)
			return yaml_error(c->y, step_where(c, "gap"),
				"nothing pings from %s to %s yet; a 'ping' step before this one begins "
				"that%s",
				c->st->from, c->st->to,
				has_pinged_address(c, i) ? ". One to an address does not: 'mesh-name' of an "
							   "adapter says which a node has in a tunnel"
							 : "");
		if (old->to && (old->kind == STEP_EXPECT || (old->kind == STEP_PING && !old->fails)) &&
			!strcmp(old->from, c->st->from) && !strcmp(old->to, c->st->to))
			break;
	}
	return 0;
}

static int check_oracle(const struct step_place *c)
{
	struct oracle_verdict v;

	oracle_ask(c->s, c->s->n_steps, scenario_find_node(c->s, c->st->from),
		scenario_find_node(c->s, c->st->to), &v);
	return v.path != PATH_ANY ? 0
				  : yaml_error(c->y, step_where(c, "is"),
					    "no oracle here, say the path that is right: %s", v.why);
}

static int check_expect(const struct step_place *c)
{
	const char *key = yaml_get(c->body, "path") ? "path" : yaml_get(c->body, "home") ? "home" : "gap";
	int err = check_node(c, key, c->st->from);

	if (err || !c->st->to)
		return err;
	err = check_node(c, key, c->st->to);
	return err ? err : c->st->oracle ? check_oracle(c) : check_gap(c);
}

static bool is_asleep(const struct step_place *c)
{
	bool asleep = false;

	for (size_t i = 0; i < c->s->n_steps; i++) {
		const struct scn_step *old = &c->s->steps[i];
		if ((old->kind == STEP_SLEEP || old->kind == STEP_WAKE) &&
			!strcmp(old->target, c->st->target))
			asleep = old->kind == STEP_SLEEP && !old->for_ms;
	}
	return asleep;
}

static int check_sleep(const struct step_place *c)
{
	bool asleep = is_asleep(c), wakes = c->st->kind == STEP_WAKE;

	return asleep == wakes ? 0
			       : yaml_error(c->y, step_where(c, "at"),
					 wakes ? "'%s' does not sleep: a 'sleep' without 'for' comes first"
					       : "'%s' sleeps already: a 'wake' comes first",
					 c->st->target);
}

static int check_clock(const struct step_place *c)
{
	const struct scn_node *n = &c->s->nodes[scenario_find_node(c->s, c->st->target)];

	return n->machine.own_clock
		       ? 0
		       : yaml_error(c->y, step_where(c, "at"),
				 "'%s' has the machine's clock: 'clock: +0s' gives it one of its own",
				 n->name);
}

int step_check_own_host(const struct step_place *c, const char *name)
{
	char owner[64];

	snprintf(owner, sizeof(owner), "%.*s", (int)strcspn(name, "."), name);
	int node = scenario_find_node(c->s, owner);
	if (node < 0 || !c->s->nodes[node].on_router)
		return 0;
	return yaml_error(c->y, c->st->at,
		"'%s' has no network of its own, it runs on router '%s': 'run', 'spawn' and 'kill' are for "
		"it",
		owner, c->s->routers[c->s->nodes[node].router].name);
}

/* Everything but its program's life is about a host's network. */
static int check_own_host(const struct step_place *c)
{
	const struct scn_step *st = c->st;
	int err;

	switch (st->kind) {
	case STEP_PING:
	case STEP_RESOLVE: return step_check_own_host(c, st->from);
	case STEP_EXPECT:
		err = step_check_own_host(c, st->from);
		return err || !st->to ? err : step_check_own_host(c, st->to);
	case STEP_CUT:
	case STEP_HEAL:
	case STEP_SLEEP:
	case STEP_WAKE:
	case STEP_CLOCK: return step_check_own_host(c, st->target);
	default: return 0;
	}
}

int step_check(const struct step_place *c)
{
	const struct scn_step *st = c->st;
	int err = check_own_host(c);

	if (err)
		return err;
	switch (st->kind) {
	case STEP_PING: err = check_node(c, "from", st->from); return err ? err : check_destination(c);
	case STEP_RESOLVE: err = check_node(c, "from", st->from); return err ? err : check_resolve(c);
	case STEP_EXPECT: return check_expect(c);
	case STEP_RUN: err = check_host(c); return err ? err : check_run(c);
	case STEP_SPAWN: err = check_node(c, "at", st->target); return err ? err : check_spawn(c);
	case STEP_KILL: err = check_node(c, "at", st->target); return err ? err : check_signal(c);
	case STEP_SLEEP:
	case STEP_WAKE: err = check_node(c, "at", st->target); return err ? err : check_sleep(c);
	case STEP_CLOCK: err = check_node(c, "at", st->target); return err ? err : check_clock(c);
	case STEP_CUT:
	case STEP_HEAL: return check_cut(c);
	case STEP_RESET: return check_router(c);
	default: return 0;
	}
}
