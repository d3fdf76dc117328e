/* An expression is read into a tree (regex_parse), the tree made into steps of a machine (step_emit), and the
 * machine is in many places at once (Thompson 1968): for each character of the name, all steps it could be at move
 * on together. Each step is in the set once, so a name costs its length times the number of steps at most. What
 * {m,n} multiplies is bounded by the number of steps, and by how often it may be tried (WORK_MAX). */
#include "resolver/block_regex.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEPS_MAX = 1024,
	NODES_MAX = 4 * BLOCK_REGEX_MAX,
	SETS_MAX = 256,
	DEPTH_MAX = 32,
	REPEAT_MAX = 255,
	WORK_MAX = 4096
};
enum { MANY = -1 }; /* no upper bound of a repeat */

enum node_kind { NODE_NOTHING, NODE_SET, NODE_BEGIN, NODE_END, NODE_THEN, NODE_OR, NODE_REPEAT };
struct node {
	enum node_kind kind;
	uint16_t a, b; /* children; a: number of the set */
	int min, max;
};
enum step_kind { STEP_SET, STEP_BEGIN, STEP_END, STEP_FORK, STEP_FOUND };
struct step {
	uint8_t kind;
	uint8_t set;
	uint16_t to, other; /* next; FORK: and the other */
};
struct char_set {
	uint8_t bits[32];
};
struct block_regex {
	uint16_t n;
	struct char_set *sets; /* owned */
	struct step steps[];
};

struct parser {
	const char *s;
	size_t len, at;
	unsigned depth, work;
	uint16_t n_nodes, n_sets, n_steps;
	const char *wrong;
	struct node nodes[NODES_MAX];
	struct char_set sets[SETS_MAX];
	struct step steps[STEPS_MAX];
};

static uint16_t fail(struct parser *p, const char *why)
{
	if (!p->wrong)
		p->wrong = why;
	return 0;
}

static bool more(const struct parser *p)
{
	return !p->wrong && p->at < p->len;
}

static uint16_t node_add(struct parser *p, struct node n)
{
	if (p->n_nodes == NODES_MAX)
		return fail(p, "is too large");
	p->nodes[p->n_nodes] = n;
	return p->n_nodes++;
}

/* ---- sets of characters ---- */

static void set_add(struct char_set *s, unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (unsigned char)(c + 32);
	s->bits[c >> 3] |= (uint8_t)(1 << (c & 7));
}

static void set_add_range(struct char_set *s, unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		set_add(s, (unsigned char)c);
}

static void set_turn(struct char_set *s)
{
	for (size_t i = 0; i < sizeof(s->bits); i++)
		s->bits[i] = (uint8_t)~s->bits[i];
}

/* \d \w \s and their opposites. false: c names no class. */
static bool set_add_class(struct char_set *s, char c)
{
	struct char_set class = { { 0 } };
	char kind = (char)(c | 32);
	if (kind == 'd' || kind == 'w')
		set_add_range(&class, '0', '9');
	if (kind == 'w') {
		set_add_range(&class, 'a', 'z');
		set_add(&class, '_');
	}
	if (kind == 's') {
		set_add_range(&class, '\t', '\r');
		set_add(&class, ' ');
	}
	if (kind != 'd' && kind != 'w' && kind != 's')
		return false;
	if (c != kind)
		set_turn(&class);
	for (size_t i = 0; i < sizeof(s->bits); i++)
		s->bits[i] |= class.bits[i];
	return true;
}

/* [:alpha:] and the like, behind the "[:". */
static bool set_add_named(struct parser *p, struct char_set *s)
{
	static const struct {
		const char *name, *ranges; /* pairs */
	} rows[] = { { "alpha:]", "az" }, { "digit:]", "09" }, { "alnum:]", "az09" }, { "lower:]", "az" },
		{ "upper:]", "az" }, { "xdigit:]", "09af" }, { "punct:]", "!/:@[`{~" },
		{ "space:]", "\t\r  " }, { "blank:]", "\t\t  " } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].name);
		if (p->len - p->at < n || memcmp(p->s + p->at, rows[i].name, n) != 0)
			continue;
		p->at += n;
		for (const char *r = rows[i].ranges; *r; r += 2)
			set_add_range(s, (unsigned char)r[0], (unsigned char)r[1]);
		return true;
	}
	return false;
}

static uint16_t set_node(struct parser *p, const struct char_set *s)
{
	uint16_t i = 0;
	while (i < p->n_sets && memcmp(&p->sets[i], s, sizeof(*s)) != 0)
		i++;
	if (i == SETS_MAX)
		return fail(p, "is too large");
	if (i == p->n_sets)
		p->sets[p->n_sets++] = *s;
	return node_add(p, (struct node) { .kind = NODE_SET, .a = i });
}

static uint16_t brackets_parse(struct parser *p)
{
	struct char_set s = { { 0 } };
	bool turned = more(p) && p->s[p->at] == '^';
	p->at += turned;
	for (bool first = true;; first = false) {
		if (!more(p))
			return fail(p, "has a [ without its ]");
		unsigned char c = (unsigned char)p->s[p->at++];
		if (c == ']' && !first)
			break;
		if (c == '[' && more(p) && p->s[p->at] == ':') {
			p->at++;
			if (!set_add_named(p, &s))
				return fail(p, "has a [:class:] that there is not");
			continue;
		}
		if (c == '\\' && more(p)) {
			c = (unsigned char)p->s[p->at++];
			if (set_add_class(&s, (char)c))
				continue;
		}
		unsigned char to = c;
		if (p->len - p->at >= 2 && p->s[p->at] == '-' && p->s[p->at + 1] != ']') {
			to = (unsigned char)p->s[p->at + 1];
			p->at += 2;
		}
		if (to < c)
			return fail(p, "has a range that runs backward");
		set_add_range(&s, c, to);
	}
	if (turned)
		set_turn(&s);
	return set_node(p, &s);
}

/* ---- the tree ---- */

static uint16_t either_parse(struct parser *p);

static uint16_t group_parse(struct parser *p)
{
	if (++p->depth > DEPTH_MAX)
		return fail(p, "has too many ( inside each other");
	if (p->len - p->at >= 2 && p->s[p->at] == '?' && p->s[p->at + 1] == ':')
		p->at += 2;
	uint16_t in = either_parse(p);
	if (!more(p) || p->s[p->at] != ')')
		return fail(p, "has a ( without its )");
	p->at++;
	p->depth--;
	return in;
}

static uint16_t atom_parse(struct parser *p)
{
	struct char_set s = { { 0 } };
	char c = p->s[p->at++];
	switch (c) {
	case '(': return group_parse(p);
	case '[': return brackets_parse(p);
	case '^': return node_add(p, (struct node) { .kind = NODE_BEGIN });
	case '$': return node_add(p, (struct node) { .kind = NODE_END });
	case '*':
	case '+':
	case '?': return fail(p, "repeats nothing");
	case '.': set_turn(&s); break;
	case '\\':
		if (p->at == p->len)
			return fail(p, "ends in a backslash");
		c = p->s[p->at++];
		if (c >= '1' && c <= '9')
			return fail(p, "refers back, which takes time without bound");
		if (!set_add_class(&s, c))
			set_add(&s, (unsigned char)c);
		break;
	default: set_add(&s, (unsigned char)c);
	}
	return set_node(p, &s);
}

/* A number of at most REPEAT_MAX; -1: there is none. */
static int number_parse(struct parser *p)
{
	int v = -1;
	while (p->at < p->len && p->s[p->at] >= '0' && p->s[p->at] <= '9' && v <= REPEAT_MAX)
		v = (v < 0 ? 0 : v) * 10 + (p->s[p->at++] - '0');
	return v;
}

/* {m}, {m,} or {m,n} behind the brace. */
static bool bounds_parse(struct parser *p, int *min, int *max)
{
	*min = *max = number_parse(p);
	if (more(p) && p->s[p->at] == ',') {
		p->at++;
		*max = number_parse(p);
	}
	bool closed = more(p) && p->s[p->at] == '}';
	p->at += closed;
	return closed && *min >= 0 && *min <= REPEAT_MAX && *max <= REPEAT_MAX &&
	       (*max == MANY || *max >= *min);
}

static uint16_t repeat_parse(struct parser *p)
{
	uint16_t of = atom_parse(p);
	while (more(p)) {
		int min = 0, max = MANY;
		char c = p->s[p->at];
		if (c != '*' && c != '+' && c != '?' && c != '{')
			break;
		p->at++;
		min = c == '+';
		max = c == '?' ? 1 : MANY;
		if (c == '{' && !bounds_parse(p, &min, &max))
			return fail(p, "has a {} that says no number of times");
		of = node_add(p, (struct node) { .kind = NODE_REPEAT, .a = of, .min = min, .max = max });
	}
	return of;
}

static uint16_t line_parse(struct parser *p)
{
	uint16_t line = node_add(p, (struct node) { .kind = NODE_NOTHING });
	while (more(p) && p->s[p->at] != '|' && p->s[p->at] != ')') {
		uint16_t next = repeat_parse(p);
		line = node_add(p, (struct node) { .kind = NODE_THEN, .a = line, .b = next });
	}
	return line;
}

static uint16_t either_parse(struct parser *p)
{
	uint16_t all = line_parse(p);
	while (more(p) && p->s[p->at] == '|') {
		p->at++;
		uint16_t other = line_parse(p);
		all = node_add(p, (struct node) { .kind = NODE_OR, .a = all, .b = other });
	}
	return all;
}

/* ---- the machine ---- */

static uint16_t step_add(struct parser *p, struct step s)
{
	if (p->n_steps == STEPS_MAX)
		return fail(p, "is too large");
	s.to = s.to ? s.to : (uint16_t)(p->n_steps + 1);
	p->steps[p->n_steps] = s;
	return p->n_steps++;
}

static void step_emit(struct parser *p, uint16_t number);

static void repeat_emit(struct parser *p, const struct node *n)
{
	for (int i = 0; !p->wrong && i < n->min; i++)
		step_emit(p, n->a);
	if (n->max == MANY) {
		uint16_t fork = step_add(p, (struct step) { .kind = STEP_FORK });
		step_emit(p, n->a);
		uint16_t back = step_add(p, (struct step) { .kind = STEP_FORK, .to = fork, .other = fork });
		p->steps[back].to = fork;
		p->steps[fork].other = p->n_steps;
		return;
	}
	for (int i = n->min; !p->wrong && i < n->max; i++) {
		uint16_t fork = step_add(p, (struct step) { .kind = STEP_FORK });
		step_emit(p, n->a);
		p->steps[fork].other = p->n_steps;
	}
}

static void step_emit(struct parser *p, uint16_t number)
{
	const struct node *n = &p->nodes[number];
	if (p->wrong)
		return;
	if (++p->work > WORK_MAX) {
		fail(p, "is too large");
		return;
	}
	switch (n->kind) {
	case NODE_NOTHING: break;
	case NODE_SET: step_add(p, (struct step) { .kind = STEP_SET, .set = (uint8_t)n->a }); break;
	case NODE_BEGIN: step_add(p, (struct step) { .kind = STEP_BEGIN }); break;
	case NODE_END: step_add(p, (struct step) { .kind = STEP_END }); break;
	case NODE_THEN:
		step_emit(p, n->a);
		step_emit(p, n->b);
		break;
	case NODE_OR: {
		uint16_t fork = step_add(p, (struct step) { .kind = STEP_FORK });
		step_emit(p, n->a);
		uint16_t over = step_add(p, (struct step) { .kind = STEP_FORK });
		p->steps[fork].other = p->n_steps;
		step_emit(p, n->b);
		p->steps[over].to = p->steps[over].other = p->n_steps;
		break;
	}
	case NODE_REPEAT: repeat_emit(p, n); break;
	}
}

static struct block_regex *regex_make(struct parser *p)
{
	size_t steps = p->n_steps * sizeof(p->steps[0]), sets = p->n_sets * sizeof(p->sets[0]);
	struct block_regex *x = malloc(sizeof(*x) + steps + sets + 1);
	if (!x)
		return NULL;
	x->n = p->n_steps;
	memcpy(x->steps, p->steps, steps);
	x->sets = (struct char_set *)((uint8_t *)x->steps + steps);
	memcpy(x->sets, p->sets, sets);
	return x;
}

struct block_regex *block_regex_new(const char *text, size_t len, struct errbuf *eb)
{
	struct parser *p = calloc(1, sizeof(*p));
	struct block_regex *x = NULL;
	int shown = len < 80 ? (int)len : 80;
	if (!p) {
		err_say(eb, -ENOMEM, "out of memory for a regular expression");
		return NULL;
	}
	p->s = text;
	p->len = len;
	if (len > BLOCK_REGEX_MAX)
		fail(p, "is too long");
	uint16_t tree = p->wrong ? 0 : either_parse(p);
	if (more(p))
		fail(p, "has a ) without its (");
	step_emit(p, tree);
	step_add(p, (struct step) { .kind = STEP_FOUND });
	if (p->wrong)
		err_say(eb, ERR_MALFORMED, "the regular expression %.*s %s", shown, text, p->wrong);
	else if (!(x = regex_make(p)))
		err_say(eb, -ENOMEM, "out of memory for a regular expression");
	free(p);
	return x;
}

void block_regex_free(struct block_regex *x)
{
	free(x);
}

size_t block_regex_bytes(const struct block_regex *x)
{
	size_t sets = 0;
	for (uint16_t i = 0; i < x->n; i++)
		if (x->steps[i].kind == STEP_SET && x->steps[i].set >= sets)
			sets = x->steps[i].set + 1u;
	return sizeof(*x) + x->n * sizeof(x->steps[0]) + sets * sizeof(x->sets[0]);
}

/* ---- a name ---- */

/* Where the machine is: steps that wait for a character, each once. */
struct places {
	uint16_t n, v[STEPS_MAX];
	uint8_t seen[STEPS_MAX / 8];
};

/* Goes on from a step as far as no character is needed. true: found. */
static bool places_add(const struct block_regex *x, struct places *at, uint16_t first, bool begin, bool end)
{
	uint16_t stack[STEPS_MAX + 2], n = 0; /* a step is taken off once and puts two on */
	stack[n++] = first;
	while (n) {
		uint16_t i = stack[--n];
		const struct step *s = &x->steps[i];
		if (at->seen[i >> 3] >> (i & 7) & 1)
			continue;
		at->seen[i >> 3] |= (uint8_t)(1 << (i & 7));
		switch ((enum step_kind)s->kind) {
		case STEP_FOUND: return true;
		case STEP_SET: at->v[at->n++] = i; break;
		case STEP_FORK:
			stack[n++] = s->other;
			stack[n++] = s->to;
			break;
		case STEP_BEGIN:
			if (begin)
				stack[n++] = s->to;
			break;
		case STEP_END:
			if (end)
				stack[n++] = s->to;
			break;
		}
	}
	return false;
}

static void places_clear(struct places *at, uint16_t steps)
{
	at->n = 0;
	memset(at->seen, 0, steps / 8u + 1 < sizeof(at->seen) ? steps / 8u + 1 : sizeof(at->seen));
}

bool block_regex_matches(const struct block_regex *x, const char *s, size_t len)
{
	struct places two[2], *now = &two[0], *next = &two[1];
	two[0].n = two[1].n = 0;
	places_clear(now, x->n);
	for (size_t i = 0;; i++) {
		if (places_add(x, now, 0, i == 0, i == len)) /* a match may begin here */
			return true;
		if (i == len)
			return false;
		unsigned char c = (unsigned char)s[i];
		places_clear(next, x->n);
		for (uint16_t k = 0; k < now->n; k++) {
			const struct step *at = &x->steps[now->v[k]];
			if (x->sets[at->set].bits[c >> 3] >> (c & 7) & 1 &&
				places_add(x, next, at->to, false, i + 1 == len))
				return true;
		}
		struct places *swap = now;
		now = next;
		next = swap;
	}
}
