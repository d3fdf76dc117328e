/* exit-node: which machines may be an exit, where they are, and which to take. */
#include "mesh/base/text.h"
#include "mesh/cli/api.h"
#include "mesh/cli/status.h"
#include "mesh/cli/verbs.h"
#include "mesh/proto/json.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct options {
	struct cli_common common;
	const char *filter;
};
static const struct opt_row rows[] = {
	{ "filter", NULL, OPT_STRING, offsetof(struct options, filter), "COUNTRY",
		"list: all that are in this country, by its name or code" },
	CLI_ROWS_COMMON(struct options),
};

struct exit {
	const struct api_peer *peer;
};

/* Without the last dot. */
static int name_length(const struct api_peer *p)
{
	size_t len = strlen(p->dns_name);
	return (int)(len && p->dns_name[len - 1] == '.' ? len - 1 : len);
}

static const char *country_of(const struct api_peer *p)
{
	return p->location ? p->location->country : "";
}

static const char *city_of(const struct api_peer *p)
{
	return p->location ? p->location->city : "";
}

static int32_t priority_of(const struct api_peer *p)
{
	return p->location ? p->location->priority : 0;
}

/* Those that do not say where they are stand first; those of a city as they are to be used. */
static int by_place(const void *a, const void *b)
{
	const struct api_peer *x = *(const struct api_peer *const *)a,
			      *y = *(const struct api_peer *const *)b;
	int order = strcmp(country_of(x), country_of(y));
	if (!order)
		order = strcmp(city_of(x), city_of(y));
	if (!order)
		order = (priority_of(x) < priority_of(y)) - (priority_of(x) > priority_of(y));
	return order ? order : strcmp(x->dns_name, y->dns_name);
}

static bool is_wanted(const struct api_peer *p, const char *country)
{
	return p->exit_node_option &&
	       (!country || (p->location && (strcasecmp(p->location->country, country) == 0 ||
						    strcasecmp(p->location->country_code, country) == 0)));
}

/* --- as JSON: every one --- */

static void put_member(struct json_out *o, const char *name, const char *text)
{
	bool first = false;
	json_put_name(o, name, &first);
	json_put_string(o, text);
}

static void print_json(struct cli *c, const struct exit *v, size_t n)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	json_put(&o, "[");
	for (size_t i = 0; i < n; i++) {
		const struct api_peer *p = v[i].peer;
		char ip[ADDR_TEXT] = "-";
		if (p->n_ips)
			addr_format(&p->ips[0], ip);
		json_put(&o, i ? ",{\"ID\":" : "{\"ID\":");
		json_put_string(&o, p->stable_id);
		put_member(&o, "Name", p->dns_name);
		put_member(&o, "IP", ip);
		put_member(&o, "Country", country_of(p));
		put_member(&o, "City", city_of(p));
		json_put(&o, p->online ? ",\"Online\":true" : ",\"Online\":false");
		json_put(&o, p->exit_node ? ",\"InUse\":true}" : ",\"InUse\":false}");
	}
	json_put(&o, "]\n");
	if (!o.bad)
		fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

/* --- as a table: of a city the one to take --- */

enum { COLUMNS = 5, CELL_MAX = 128, GAP = 5, WIDTH_MIN = 10 };
struct line {
	char cell[COLUMNS][CELL_MAX]; /* address, name, country, city, state */
};

static void set_cell(char cell[static CELL_MAX], const char *text, int len)
{
	snprintf(cell, CELL_MAX, "%.*s", len ? len : 1, len ? text : "-");
}

static void set_line(struct line *l, const struct api_peer *p, const char *city)
{
	char ip[ADDR_TEXT] = "", seen[64] = "-";
	if (p->n_ips)
		addr_format(&p->ips[0], ip);
	set_cell(l->cell[0], ip, (int)strlen(ip));
	set_cell(l->cell[1], p->dns_name, name_length(p));
	set_cell(l->cell[2], country_of(p), (int)strlen(country_of(p)));
	set_cell(l->cell[3], city, (int)strlen(city));
	if (!p->online)
		status_seen(p, clock_unix_ms(), seen, sizeof(seen));
	snprintf(l->cell[4], CELL_MAX, "%s%s", p->exit_node ? p->online ? "selected" : "selected but " : "",
		p->exit_node && p->online ? "" : seen);
}

/* The next country's first. */
static size_t end_of_country(const struct exit *v, size_t n, size_t i)
{
	size_t k = i;
	while (k < n && strcmp(country_of(v[k].peer), country_of(v[i].peer)) == 0)
		k++;
	return k;
}

/* The one of a country to take, where it has several cities; else NULL. */
static const struct api_peer *any_of(const struct exit *v, size_t i, size_t end)
{
	const struct api_peer *best = v[i].peer;
	bool several = false;
	for (size_t k = i; k < end; k++) {
		several |= strcmp(city_of(v[k].peer), city_of(v[i].peer)) != 0;
		if (priority_of(v[k].peer) > priority_of(best))
			best = v[k].peer;
	}
	return several ? best : NULL;
}

/* Whether it is one to show without being asked for its country: the first of its city, and the one in use. */
static bool is_shown(const struct exit *v, size_t i, size_t first, bool all)
{
	return all || !*country_of(v[i].peer) || i == first ||
	       strcmp(city_of(v[i].peer), city_of(v[i - 1].peer)) != 0 || v[i].peer->exit_node;
}

static size_t set_lines(struct line *l, const struct exit *v, size_t n, bool all)
{
	size_t count = 0;
	for (size_t i = 0; i < n;) {
		size_t end = end_of_country(v, n, i);
		const struct api_peer *any = *country_of(v[i].peer) ? any_of(v, i, end) : NULL;
		if (any)
			set_line(&l[count++], any, "Any");
		for (size_t k = i; k < end; k++)
			if (is_shown(v, k, i, all))
				set_line(&l[count++], v[k].peer, city_of(v[k].peer));
		i = end;
	}
	return count;
}

static void print_lines(struct cli *c, const struct line *l, size_t n)
{
	size_t width[COLUMNS] = { 0 };
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < COLUMNS; k++) {
			size_t len = text_width(l[i].cell[k]) + GAP;
			width[k] = len > width[k] ? len : width[k];
		}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k + 1 < COLUMNS; k++) {
			size_t pad = width[k] > WIDTH_MIN ? width[k] : WIDTH_MIN;
			fprintf(c->out, "%s%s%*s", k ? "" : " ", l[i].cell[k],
				(int)(pad - text_width(l[i].cell[k])), "");
		}
		fprintf(c->out, "%s\n", l[i].cell[COLUMNS - 1]);
	}
}

static bool print_table(struct cli *c, const struct exit *v, size_t n, bool all)
{
	/* Each once, and once more as the one of its country. */
	struct line *l = calloc(1 + 2 * n, sizeof(*l));
	if (!l)
		return false;
	l[0] = (struct line) { { "IP", "HOSTNAME", "COUNTRY", "CITY", "STATUS" } };
	size_t count = 1 + set_lines(l + 1, v, n, all);
	fputc('\n', c->out);
	print_lines(c, l, count);
	fputs("\n# All of a country: ropewalk exit-node list --filter=COUNTRY\n"
	      "# To use one: ropewalk set --exit-node=NAME\n"
	      "# To have one suggested: ropewalk exit-node suggest\n",
		c->out);
	free(l);
	return true;
}

static int refuse_none(struct cli *c, const char *country)
{
	if (country)
		return cli_fail(c, CLI_FAILED, "no-exit",
			"ropewalk exit-node list names the countries there are.",
			"no machine that may be an exit says that it is in %s", country);
	return cli_fail(c, CLI_FAILED, "no-exit",
		"A machine offers to be one by ropewalk set --advertise-exit-node, and the server approves "
		"it.",
		"no machine of this network may be an exit");
}

static int print_exits(struct cli *c, const struct api_status *s, struct exit *v, const char *country)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_peers; i++)
		if (is_wanted(&s->peers[i], country))
			v[n++].peer = &s->peers[i];
	qsort(v, n, sizeof(*v), by_place);
	if (c->json)
		print_json(c, v, n);
	else if (!n)
		return refuse_none(c, country);
	else if (!print_table(c, v, n, country))
		return cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	return CLI_OK;
}

static int list_exits(struct cli *c, const char *country)
{
	struct arena a = { 0 };
	struct api_status s;
	int code = api_status(c, &a, &s);
	if (code == CLI_OK) {
		struct exit *v = arena_array(&a, s.n_peers + 1, sizeof(*v));
		code = v ? print_exits(c, &s, v, country)
			 : cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	}
	arena_free(&a);
	return code;
}

static int suggest_exit(struct cli *c)
{
	struct api_request r = { .method = "GET", .target = "/localapi/v0/suggest-exit-node" };
	json_t *doc;
	int code = api_call_json(c, &r, &doc);
	const char *name = json_string_value(json_member(doc, "Name"));
	if (code == CLI_OK && c->json) {
		(void)json_dumpf(doc, c->out, JSON_COMPACT);
		fputc('\n', c->out);
	} else if (code == CLI_OK && name)
		fprintf(c->out, "%.*s\nTo use it: ropewalk set --exit-node=%.*s\n", (int)strcspn(name, " "),
			name, (int)strcspn(name, "."), name);
	else if (code == CLI_OK)
		code = cli_fail(
			c, CLI_FAILED, "answer", NULL, "ropewalkd gave an answer that cannot be read");
	json_decref(doc);
	return code;
}

static int exit_node_run(struct cli *c, const void *options, const char *const *words, int n)
{
	const struct options *o = options;
	if (n && strcmp(words[0], "list") == 0)
		return list_exits(c, o->filter && *o->filter ? o->filter : NULL);
	if (n && strcmp(words[0], "suggest") == 0 && !o->filter)
		return suggest_exit(c);
	return cli_fail(c, CLI_USAGE, "usage", NULL, "exit-node list, or exit-node suggest");
}

const struct cli_verb verb_exit_node = {
	.man = { "exit-node", "list|suggest", "show which machines may be an exit, or the nearest of them",
		"An exit carries all that a machine says to the internet. ropewalk set --exit-node=NAME uses "
		"one, ropewalk set --exit-node= none.\n\nlist shows those that say where they are city by "
		"city: "
		"of each the one with the highest priority, and of a country with several cities the best of "
		"all "
		"as Any; --filter shows every one of a country.\n\nsuggest names the one whose home relay is "
		"nearest to this machine, of those that are online. Those without a relay stand behind: of "
		"them "
		"it names the one that is nearest on the map to this machine's own.",
		rows },
	.options_size = sizeof(struct options),
	.max_words = 1,
	.run = exit_node_run,
};
