#include "simnet/scenario/scenario_read.h"

#include "mesh/base/text.h"
#include <assert.h>
#include <string.h>

/* A step as its rows see it: the step, and words that become fields of it. */
struct step_words {
	struct scn_step st;
	const char *path, *gap; /* "a->b" */
	const char *home;	/* a node */
	int via, is_path;
	struct change_words change; /* of move, lease, interface */
	struct set_words set;
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
			  : schema_read_strings(y, v, "argv", argv);
	return err || *(*argv)[0] ? err
				  : yaml_error(y, v->items[0]->at, "'argv' begins with no program's name");
}

/* ---- the keys of each kind */

#define WITHIN(default) \
	{ \
		"within", SCHEMA_DURATION, AT(st.within_ms), .def = (default), \
							     .doc = "how soon; a bound, never a pause" \
	}
#define TARGET(what) \
	{ \
		"at", SCHEMA_STRING, AT(st.target), .required = true, .doc = (what) \
	}
static const struct schema_form argv_form = { .strings = true };

static const struct schema_row ping_rows[] = {
	{ "from", SCHEMA_STRING, AT(st.from), .required = true, .doc = "the node that asks" },
	{ "to", SCHEMA_STRING, AT(st.to), .required = true,
		.doc = "a node, by the name it has in the mesh, or an address or name" },
	{ "via", SCHEMA_WORD, AT(via), .words = via_words, .def = "any",
		.doc = "the path on which the answer must come" },
	{ "within", SCHEMA_DURATION, AT(st.within_ms), .def = "10s, with `fails` 3s",
		.doc = "how soon; a bound, never a pause" },
	{ "fails", SCHEMA_BOOL, AT(st.fails), .def = "false",
		.doc = "no answer may come for all of `within`" },
	{ 0 },
};
static const struct schema_row resolve_rows[] = {
	{ "from", SCHEMA_STRING, AT(st.from), .required = true, .doc = "the node that asks" },
	{ "name", SCHEMA_STRING, AT(st.name), .required = true,
		.doc = "the question; of type PTR it may be an address" },
	{ "type", SCHEMA_STRING, AT(st.type), .def = "A", .doc = "A AAAA PTR CNAME TXT NS SOA MX SRV" },
	{ "is", SCHEMA_STRING, AT(st.is), .doc = "a value, or `NXDOMAIN` `NODATA` `SERVFAIL` `REFUSED`" },
	WITHIN("5s"),
	{ "fails", SCHEMA_BOOL, AT(st.fails), .def = "false", .doc = "no answer, or none with a value" },
	{ 0 },
};
static const struct schema_row expect_rows[] = {
	{ "path", SCHEMA_STRING, AT(path), .doc = "`a->b`: the way packets take; needs `is`" },
	{ "is", SCHEMA_WORD, AT(is_path), .words = is_words,
		.doc = "what that way is; `oracle`: what the network allows, see below" },
	{ "home", SCHEMA_STRING, AT(home),
		.doc = "a node: its home relay, as its program tells; needs `relay`" },
	{ "relay", SCHEMA_STRING, AT(st.name), .doc = "what that is: the code of its region" },
	{ "gap", SCHEMA_STRING, AT(gap), .doc = "`a->b`: what the last event cost; needs `max` or `lost`" },
	{ "max", SCHEMA_DURATION, AT(st.max_gap_ms), .doc = "the longest silence" },
	{ "lost", SCHEMA_U64, AT(st.max_lost), .doc = "how many packets at most" },
	WITHIN("15s"),
	{ "for", SCHEMA_DURATION, AT(st.for_ms),
		.doc = "how long it must then stay so; the program's newest word counts, and only if packets "
		       "come back" },
	{ 0 },
};
static const struct schema_row run_rows[] = {
	TARGET("a node or a router"),
	{ "argv", SCHEMA_CUSTOM, .required = true, .read = read_argv, .form = &argv_form,
		.doc = "the program and its arguments" },
	{ "exit", SCHEMA_INT, AT(st.exit_code), .def = "0",
		.doc = "the status it must end with; at most 255" },
	{ "json", SCHEMA_STRING, AT(st.json_path), .doc = "a JSON path into its output" },
	{ "is", SCHEMA_STRING, AT(st.is),
		.doc = "a value there, or a line of the output, `''` for none; or a condition on a number, "
		       "as `>= 3` (`<` "
		       "`<=` "
		       "`>` `>=` `==` `!=`), of the group of `matches` where there is one" },
	{ "matches", SCHEMA_STRING, AT(st.matches),
		.doc = "a regular expression (POSIX extended) that fits somewhere" },
	{ "capture", SCHEMA_STRING, AT(st.capture),
		.doc = "keeps the value, the first group of `matches` or the first line, as "
		       "`{capture.NAME}`" },
	WITHIN("10s"),
	{ "fails", SCHEMA_BOOL, AT(st.fails), .def = "false", .doc = "it must not do all that" },
	{ 0 },
};
static const struct schema_row spawn_rows[] = {
	TARGET("the node"),
	{ "argv", SCHEMA_CUSTOM, .read = read_argv, .form = &argv_form,
		.doc = "another program beside the node's own" },
	{ "ready", SCHEMA_BOOL, AT(st.wait_ready), .def = "true", .doc = "wait until it is ready" },
	WITHIN("15s"),
	{ 0 },
};
static const struct schema_row kill_rows[] = {
	TARGET("the node"),
	{ "signal", SCHEMA_STRING, AT(st.signal), .def = "KILL",
		.doc = "KILL TERM INT HUP STOP CONT USR1 USR2" },
	{ 0 },
};
static const struct schema_row cut_rows[] = {
	TARGET("`home.udp` (all UDP that a router forwards), `alice.udp`, `alice.link`, `home.link`, or the "
	       "cable: "
	       "`alice.carrier`, `home.carrier`"),
	{ 0 },
};
static const struct schema_row reset_rows[] = { TARGET("the router"), { 0 } };
static const struct schema_row sleep_rows[] = {
	TARGET("the node"),
	{ "for", SCHEMA_DURATION, AT(st.for_ms), .def = "until a `wake` step",
		.doc = "how long; the step ends when it is awake" },
	{ 0 },
};
static const struct schema_row wake_rows[] = { TARGET("the node"), { 0 } };

static int read_clock(struct yaml_reader *y, const struct yaml_value *v, void *base)
{
	return clock_read(y, v, &((struct step_words *)base)->st.clock_s);
}

static const struct schema_form clock_value_form = { .word = true };
static const struct schema_row clock_rows[] = {
	TARGET("a node with `clock`"),
	{ "is", SCHEMA_CUSTOM, .required = true, .read = read_clock, .form = &clock_value_form,
		.doc = "how far it is off from here on, as `+1h` or `-30y`" },
	{ 0 },
};
static const struct schema_row wait_rows[] = {
	{ "for", SCHEMA_DURATION, AT(st.for_ms), .required = true, .doc = "how long" },
	{ 0 },
};
static const struct schema_row mark_rows[] = {
	{ "name", SCHEMA_STRING, AT(st.name), .required = true, .doc = "what it is called in the story" },
	{ 0 },
};

/* One table and one form for each kind. short_key: what a bare word after the kind means ("kill: bob"). */
#define KIND(kind, key, text) \
	static const struct schema_table kind##_table = { \
		.name = #kind, .rows = kind##_rows, .short_key = (key), .about = (text) \
	}; \
	static const struct schema_form kind##_form = { .map = &kind##_table }
KIND(ping, NULL, "The first one between two nodes begins a stream of probes, see below.");
KIND(resolve, NULL, "A DNS question, asked as a program on that host would.");
KIND(expect, NULL, "Needs one of `path`, `home` and `gap`.");
KIND(run, NULL,
	"A command that ends. With a condition (`json`, `is`, `matches`) it is run until that holds.");
KIND(spawn, "at",
	"Starts or restarts a node's program: what it wrote itself is as it was left, the adapter's files "
	"are written anew.");
KIND(kill, "at", "Everything that runs on the node gets the signal.");
KIND(cut, "at", "Dropped silently, until healed; `heal` has the same key.");
KIND(reset, "at", "All mappings of a router are gone, and new ones get other ports.");
KIND(sleep, "at",
	"All that runs on the host stands still and its network interfaces have no carrier, until it wakes.");
KIND(wake, "at", "The carrier is back, and all goes on.");
KIND(clock, NULL, "The wall clock of a host's programs is set.");
static const struct schema_form move_form = { .map = &move_table }, lease_form = { .map = &lease_table },
				interface_form = { .map = &interface_step_table },
				set_form = { .map = &set_table };
KIND(wait, "for", "A plain pause, which has to give its reason in `say`.");
KIND(mark, "name", "From here losses and gaps are counted anew, under this name.");

static const struct schema_row step_rows[] = {
	[STEP_PING] = { "ping", SCHEMA_CUSTOM, .form = &ping_form, .doc = "packets go and come back" },
	[STEP_RESOLVE] = { "resolve", SCHEMA_CUSTOM, .form = &resolve_form, .doc = "a name has a value" },
	[STEP_EXPECT] = { "expect", SCHEMA_CUSTOM, .form = &expect_form,
		.doc = "the way packets take, or what an event has cost" },
	[STEP_RUN] = { "run", SCHEMA_CUSTOM, .form = &run_form, .doc = "a command, and what it says" },
	[STEP_SPAWN] = { "spawn", SCHEMA_CUSTOM, .form = &spawn_form, .doc = "a program is started" },
	[STEP_KILL] = { "kill", SCHEMA_CUSTOM, .form = &kill_form, .doc = "programs get a signal" },
	[STEP_CUT] = { "cut", SCHEMA_CUSTOM, .form = &cut_form, .doc = "packets are dropped from here" },
	[STEP_HEAL] = { "heal", SCHEMA_CUSTOM, .form = &cut_form, .doc = "and no more" },
	[STEP_RESET] = { "reset", SCHEMA_CUSTOM, .form = &reset_form, .doc = "a router forgets" },
	[STEP_SET] = { "set", SCHEMA_CUSTOM, .form = &set_form, .doc = "a link or a NAT changes" },
	[STEP_MOVE] = { "move", SCHEMA_CUSTOM, .form = &move_form,
		.doc = "a host, or a router's outer side, goes to another network" },
	[STEP_LEASE] = { "lease", SCHEMA_CUSTOM, .form = &lease_form,
		.doc = "another address on the same network" },
	[STEP_INTERFACE] = { "interface", SCHEMA_CUSTOM, .form = &interface_form,
		.doc = "one interface comes, goes or changes" },
	[STEP_SLEEP] = { "sleep", SCHEMA_CUSTOM, .form = &sleep_form, .doc = "a host sleeps" },
	[STEP_WAKE] = { "wake", SCHEMA_CUSTOM, .form = &wake_form, .doc = "and wakes" },
	[STEP_CLOCK] = { "clock", SCHEMA_CUSTOM, .form = &clock_form, .doc = "a wall clock is set" },
	[STEP_WAIT] = { "wait", SCHEMA_CUSTOM, .form = &wait_form, .doc = "a pause" },
	[STEP_MARK] = { "mark", SCHEMA_CUSTOM, .form = &mark_form, .doc = "a point to count from" },
	[STEP_KINDS] = { "say", SCHEMA_STRING, AT(st.title),
		.doc = "a sentence for the story, beside any of these" },
	{ 0 },
};
static_assert(ARRAY_LEN(step_rows) == STEP_KINDS + 2, "step_rows misses a kind of step");
const struct schema_table step_table = { .name = "step",
	.about = "A step is a map with one kind, and perhaps `say`.",
	.rows = step_rows,
	.one = true };

static const uint64_t within_ms[] = {
	[STEP_PING] = 10000,
	[STEP_RESOLVE] = 5000,
	[STEP_EXPECT] = 15000,
	[STEP_RUN] = 10000,
	[STEP_SPAWN] = 15000,
	[STEP_KILL] = 5000,
	[STEP_CUT] = 5000,
	[STEP_HEAL] = 5000,
	[STEP_RESET] = 5000,
	[STEP_SET] = 5000,
	[STEP_MOVE] = 5000,
	[STEP_LEASE] = 5000,
	[STEP_INTERFACE] = 5000,
	[STEP_SLEEP] = 5000,
	[STEP_WAKE] = 5000,
	[STEP_CLOCK] = 5000,
	[STEP_MARK] = 0,
};
static_assert(ARRAY_LEN(within_ms) == STEP_KINDS, "within_ms misses a kind of step");

const char *scenario_step_name(enum step_kind k)
{
	return step_rows[k].key;
}

const char *scenario_path_name(enum scn_path p)
{
	return is_words[p];
}

/* ---- one step */

static int split_pair(struct yaml_reader *y, struct scn_step *st, const char *pair)
{
	const char *arrow = strstr(pair, "->");

	if (!arrow || arrow == pair || !arrow[2] || strpbrk(pair, " \t"))
		return yaml_error(y, st->at, "'%s' must be two nodes, as alice->bob", pair);
	st->from = arena_strndup(y->arena, pair, (size_t)(arrow - pair));
	st->to = arena_strdup(y->arena, arrow + 2);
	return st->from && st->to ? 0
				  : err_say(y->eb, ERR_TOO_LARGE, "%s: too large to hold in memory", y->file);
}

static int finish_expect(struct yaml_reader *y, struct step_words *w)
{
	bool bounds = w->st.max_gap_ms != UINT64_MAX || w->st.max_lost != UINT64_MAX;

	if (!!w->path + !!w->gap + !!w->home != 1)
		return yaml_error(y, w->st.at, "expect needs one of 'path', 'home' and 'gap'");
	if (!w->home != !w->st.name)
		return yaml_error(y, w->st.at, "'home' and 'relay' go together");
	if (w->home && (w->is_path != PATH_ANY || bounds || w->st.for_ms))
		return yaml_error(y, w->st.at, "'home' needs 'relay', and no 'is', 'max', 'lost' or 'for'");
	if (w->home) {
		w->st.from = w->home;
		return 0;
	}
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
	const char *names[STEP_KINDS + 2] = { NULL };

	for (size_t k = 0; k <= STEP_KINDS; k++) {
		names[k] = step_rows[k].key;
		if (k < STEP_KINDS && !strcmp(names[k], key->text)) {
			*out = (enum step_kind)k;
			return 0;
		}
	}
	return yaml_error_near(y, key->at, key->text, names, "unknown step '%s'", key->text);
}

/* {kind: body, say: text} */
static int read_item(struct yaml_reader *y, const struct yaml_value *item, struct step_words *w,
	const struct yaml_value **body)
{
	if (item->type != YAML_MAP || !item->n)
		return yaml_error(y, item->at,
			"a step must be a map with one kind, as '- ping: {from: a, to: b}', not %s",
			yaml_type_name(item));
	for (size_t i = 0; i < item->n; i++) {
		const struct yaml_pair *p = &item->pairs[i];
		int err = 0;
		if (!strcmp(p->key->text, "say"))
			err = schema_read_scalar(y, p->value, "say", &step_rows[STEP_KINDS], w);
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
	struct yaml_reader *y, const struct yaml_value *item, struct scenario *s, struct scn_step *out)
{
	struct step_words w = { .st = { .max_gap_ms = UINT64_MAX,
					.max_lost = UINT64_MAX,
					.exit_code = -1,
					.wait_ready = true },
		.change = { .up = true } };
	const struct yaml_value *body = NULL;

	int err = read_item(y, item, &w, &body);
	if (err || !body)
		return err;
	bool changes = w.st.kind == STEP_MOVE || w.st.kind == STEP_LEASE || w.st.kind == STEP_INTERFACE;
	void *base = changes ? (void *)&w.change : w.st.kind == STEP_SET ? (void *)&w.set : &w;
	const char *word = step_rows[w.st.kind].key;
	const struct schema_table *t = step_rows[w.st.kind].form->map;
	if (body->type == YAML_SCALAR && t->short_key)
		err = schema_read_scalar(y, body, word, schema_find(t->rows, t->short_key), base);
	else
		err = schema_read_map(y, body, word, t->rows, base);
	if (!err && w.st.kind == STEP_EXPECT)
		err = finish_expect(y, &w);
	if (err)
		return err;
	if (w.st.kind == STEP_PING)
		w.st.path = (enum scn_path)w.via;
	if (w.st.kind == STEP_KILL && !w.st.signal)
		w.st.signal = "KILL";
	if (!w.st.within_ms)
		w.st.within_ms = w.st.fails && w.st.kind == STEP_PING ? FAILS_MS : within_ms[w.st.kind];
	if (w.st.kind == STEP_WAIT && (!w.st.title || !*w.st.title))
		return yaml_error(y, w.st.at, "'wait' is a plain pause and must give its reason in 'say'");
	if (w.st.fails && w.st.path != PATH_ANY)
		return yaml_error(
			y, w.st.at, "a ping that fails has no path: 'via' and 'fails' exclude each other");
	*out = w.st;
	const struct step_place place = { .y = y, .s = s, .st = out, .body = body };
	if (changes || out->kind == STEP_SET)
		err = step_check_own_host(&place, changes ? w.change.at : w.set.at);
	if (err)
		return err;
	if (changes)
		return change_read(&place, s, &w.change, out);
	if (out->kind == STEP_SET)
		return set_read(&place, s, &w.set, out);
	return step_check(&place);
}

int steps_read(struct yaml_reader *y, const struct yaml_value *list, struct scenario *s)
{
	if (!list)
		return 0;
	if (list->type != YAML_LIST)
		return yaml_error(y, list->at, "'steps' must be a list, not %s", yaml_type_name(list));
	struct scn_step *grown = arena_array(y->arena, s->n_steps + list->n + 1, sizeof(*grown));
	if (!grown)
		return err_say(y->eb, ERR_TOO_LARGE, "%s: too many steps", y->file);
	if (s->n_steps)
		memcpy(grown, s->steps, s->n_steps * sizeof(*grown));
	s->steps = grown; /* who points to the old ones may go on */
	int first = 0;
	for (size_t i = 0; i < list->n; i++) {
		int err = read_step(y, list->items[i], s, &s->steps[s->n_steps]);
		s->n_steps += !err;
		first = first ? first : err;
	}
	return first;
}

int scenario_add_steps(struct scenario *s, const char *name, const char *text, size_t len,
	struct scn_errors *all, struct errbuf *eb)
{
	struct yaml_reader y = { .file = s->file,
		.part = arena_strdup(&s->arena, name),
		.arena = &s->arena,
		.eb = eb,
		.all = all };
	struct yaml_value *root = NULL, one = { .type = YAML_LIST, .n = 1, .items = &root };
	size_t before = s->n_steps;

	int err = y.part ? yaml_parse(&y, text, len, &root) : yaml_no_memory(&y);
	if (!err && root)
		err = steps_read(&y, root->type == YAML_LIST ? root : &one, s);
	if (!err)
		err = topology_plan_steps(s, before, all, eb);
	if (err)
		s->n_steps = before;
	return err;
}
