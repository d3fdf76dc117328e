/* Questions whose answers are validated. A scripted libunbound stands in the place of the real one, which has a thread of its
 * own, and holds what is called against the contract of unbound.h: what was asked is found, cancelled or gone with its
 * context, each result is given back once, and nothing is set when it has begun. An input is a line of steps, as what is
 * asked, given up on, found (by bytes of the input, in whatever form), turned off and on, and what fails then. Each question
 * ends once, with an answer that is one to it. */
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/wire.h"
#include "mesh/os/fuzz/awake.h"
#include "resolver/exchange/validate.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <unbound.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	IDS = 32,
	STEPS_MAX = 200,
	ASKED_MAX = STEPS_MAX + 1,
	HEADER = 12,
	QUESTION_MAX = 512,
	NAME_MAX_WIRE = 255,
	TOO_LONG = 70000,
	TURNS = 2
};
enum { SERVFAIL = 2, REFUSED = 5, FLAG_AD = 0x20 };

/* ---- the library ---- */

void *__real_calloc(size_t n, size_t size);

/* Its memory is not short, as that of other libraries is not. */
static void *library_memory(size_t n)
{
	void *p = __real_calloc(1, n ? n : 1);
	must(p);
	return p;
}

struct asked {
	void *arg; /* NULL: nothing is out */
	ub_callback_type found;
	uint64_t id;
	bool ready;
	int err;
	struct ub_result *r;
};
struct ub_ctx {
	bool begun;
	bool word, forward, anchors, async;
	int fd;
	int n;
	struct asked asked[ASKED_MAX];
};
static struct {
	struct ub_ctx *newest;
	unsigned contexts, results; /* that are there */
	/* of the next configuration */
	bool absent, no_context;
	unsigned missing; /* the number of a function, plus 1 */
	unsigned set_fails, set_err;
	/* of the next question */
	int ask_err;
	uint64_t id;
	const uint8_t *msg;
	size_t len;
	void (*told)(void *arg, uint64_t id, bool secure); /* what was found goes out */
	void *arg;
} script;

static struct ub_ctx *scripted_create(void)
{
	if (script.no_context)
		return NULL;
	struct ub_ctx *c = library_memory(sizeof(*c));
	c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must(c->fd >= 0);
	script.contexts++;
	script.newest = c;
	return c;
}

static void scripted_free(struct ub_result *r)
{
	must(r && script.results);
	script.results--;
	free(r->answer_packet);
	free(r->why_bogus);
	free(r);
}

static void scripted_delete(struct ub_ctx *c)
{
	must(c && script.contexts);
	script.contexts--;
	if (script.newest == c)
		script.newest = NULL;
	for (int i = 0; i < c->n; i++)
		if (c->asked[i].r)
			scripted_free(c->asked[i].r);
	close(c->fd);
	free(c);
}

/* Each setting comes by here: it may fail, and none is made when questions have been asked. */
static int set(const struct ub_ctx *c)
{
	static const int errors[] = { UB_NOMEM, UB_SYNTAX, UB_INITFAIL, UB_PIPE };
	must(!c->begun);
	return script.set_fails && --script.set_fails == 0 ? errors[script.set_err & 3] : UB_NOERROR;
}

static int scripted_option(struct ub_ctx *c, const char *name, const char *value)
{
	must(name[strlen(name) - 1] == ':' && *value);
	return set(c);
}

static int scripted_forward(struct ub_ctx *c, const char *at)
{
	must(strcmp(at, "127.0.0.1@5353") == 0);
	c->forward = true;
	return set(c);
}

static int scripted_config(struct ub_ctx *c, const char *path)
{
	static const char want[] = "server:\n\tedns-client-string: 127.0.0.1/32 word5353\n";
	char text[sizeof(want)];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && read(fd, text, sizeof(text)) == sizeof(want) - 1 && read(fd, text, 1) == 0);
	must(memcmp(text, want, sizeof(want) - 1) == 0);
	close(fd);
	c->word = true;
	return set(c);
}

static int scripted_anchors(struct ub_ctx *c, const char *path)
{
	must(strcmp(path, "/dev/null") == 0);
	c->anchors = true;
	return set(c);
}

static int scripted_async(struct ub_ctx *c, int thread)
{
	must(thread == 1);
	c->async = true;
	return set(c);
}

static int scripted_fd(struct ub_ctx *c)
{
	return c->fd;
}

static int scripted_process(struct ub_ctx *c)
{
	uint64_t n;
	(void)!read(c->fd, &n, sizeof(n));
	for (int i = 0; i < c->n; i++) {
		struct asked *a = &c->asked[i];
		if (!a->arg || !a->ready)
			continue;
		void *arg = a->arg;
		struct ub_result *r = a->r;
		a->arg = NULL;
		a->r = NULL;
		script.told(script.arg, a->id, !a->err && r && r->secure && !r->bogus);
		a->found(arg, a->err, r);
	}
	return UB_NOERROR;
}

/* The text of a name, back as it was on the wire; its length. */
static size_t name_back(const char *text, uint8_t out[static NAME_MAX_WIRE])
{
	size_t at = 0;
	while (*text && strcmp(text, ".") != 0) {
		size_t begin = at++;
		for (; *text != '.'; text++, at++) {
			must(*text && at < NAME_MAX_WIRE);
			out[at] = (uint8_t)*text;
			if (*text == '\\') {
				out[at] = (uint8_t)((text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] -
						    '0');
				text += 3;
			}
		}
		text++;
		out[begin] = (uint8_t)(at - begin - 1);
	}
	must(at < NAME_MAX_WIRE);
	out[at++] = 0;
	return at;
}

static int scripted_resolve(struct ub_ctx *c, const char *name, int type, int class, void *arg,
	ub_callback_type found, int *number)
{
	uint8_t wire[NAME_MAX_WIRE];
	size_t n = name_back(name, wire), end = HEADER + n;
	must(c->word && c->forward && c->anchors && c->async && c->n < ASKED_MAX);
	must(end + 4 <= script.len && memcmp(wire, script.msg + HEADER, n) == 0);
	must(type == (int)be_get(script.msg + end, 2) && class == (int)be_get(script.msg + end + 2, 2));
	c->begun = true;
	if (script.ask_err)
		return script.ask_err;
	c->asked[c->n] = (struct asked) { .arg = arg, .found = found, .id = script.id };
	*number = c->n++;
	return UB_NOERROR;
}

static int scripted_cancel(struct ub_ctx *c, int number)
{
	must(number >= 0 && number < c->n && c->asked[number].arg);
	c->asked[number].arg = NULL;
	return UB_NOERROR;
}

static const char *scripted_error(int err)
{
	return err == UB_SYNTAX ? "syntax error" : "another error";
}

/* NOLINTBEGIN(bugprone-casting-through-void): as dlsym has it */
static const struct {
	const char *name;
	void *function;
} functions[] = { { "ub_ctx_create", (void *)scripted_create }, { "ub_ctx_delete", (void *)scripted_delete },
	{ "ub_ctx_set_option", (void *)scripted_option }, { "ub_ctx_set_fwd", (void *)scripted_forward },
	{ "ub_ctx_config", (void *)scripted_config }, { "ub_ctx_add_ta_file", (void *)scripted_anchors },
	{ "ub_ctx_async", (void *)scripted_async }, { "ub_fd", (void *)scripted_fd },
	{ "ub_process", (void *)scripted_process }, { "ub_resolve_async", (void *)scripted_resolve },
	{ "ub_cancel", (void *)scripted_cancel }, { "ub_resolve_free", (void *)scripted_free },
	{ "ub_strerror", (void *)scripted_error } };
/* NOLINTEND(bugprone-casting-through-void) */

static void *function_find(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strcmp(functions[i].name, name) == 0)
			return script.missing == i + 1 ? NULL : functions[i].function;
	abort(); /* a function more */
}

/* The linker puts them in place of the calls of our objects (--wrap), and of the sanitizers', which ask before anything of
 * theirs is ready. */
#define EARLY __attribute__((no_sanitize("address", "undefined", "coverage")))
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlopen(const char *file, int flags);

EARLY void *__wrap_dlsym(void *library, const char *name)
{
	return library == &script ? function_find(name) : __real_dlsym(library, name);
}

void *__wrap_dlopen(const char *file, int flags)
{
	must(strcmp(file, "libunbound.so.8") == 0 && flags == (RTLD_NOW | RTLD_LOCAL));
	return script.absent ? NULL : &script;
}

/* ---- who asks ---- */

struct world {
	struct exchange *x;
	bool out[IDS], found[IDS], secure[IDS];
	size_t len[IDS];
	uint8_t msg[IDS][QUESTION_MAX];
	unsigned react; /* what the owner does when it is told */
};
enum { GIVE_UP = 1, ASK = 2, TURN_OFF = 4, ANEW = 8 };

static void ask(struct world *w, unsigned id, const uint8_t *rest, size_t n)
{
	static const struct exchange_to to = { .by = EXCHANGE_VALIDATED };
	uint8_t *msg = w->msg[id];
	if (w->out[id])
		return;
	w->out[id] = true;
	w->found[id] = w->secure[id] = false;
	memset(msg, 0, HEADER);
	msg[0] = (uint8_t)id;
	msg[1] = (uint8_t)(id * 7);
	msg[2] = 1;
	msg[5] = 1;
	if (n)
		memcpy(msg + HEADER, rest, n);
	w->len[id] = HEADER + n;
	script.id = id;
	script.msg = msg;
	script.len = w->len[id];
	exchange_send(w->x, id, &to, msg, w->len[id]);
}

static void give_up(struct world *w, unsigned id)
{
	if (!w->out[id])
		return;
	w->out[id] = false;
	exchange_done(w->x, id);
}

static void configure(struct world *w, bool on)
{
	static const char *const insecure[] = { "home.arpa", "b.test" };
	const struct exchange_validation how = { .ask = { .ip = addr_v4(0x7f000001), .port = 5353 },
		.word = "word5353",
		.anchors = "/dev/null",
		.insecure = insecure,
		.n_insecure = sizeof(insecure) / sizeof(insecure[0]) };
	const bool fails = script.absent || script.no_context || script.missing || script.set_fails;
	struct ub_ctx *before = script.newest;
	struct errbuf eb = { 0 };
	int err = exchange_validate(w->x, on ? &how : NULL, &eb);
	must(!err || (on && eb.text[0] && (trouble_happened() || fails)));
	must(script.contexts == (err ? before != NULL : on));
	if (err)
		script.newest = before; /* it asks on */
	script.absent = script.no_context = false;
	script.missing = script.set_fails = 0;
}

static void react(struct world *w, unsigned id)
{
	static const uint8_t name[] = "\1a\0\0\1\0\1";
	if (w->react & GIVE_UP)
		give_up(w, (id + 1) % IDS);
	if (w->react & ASK)
		ask(w, (id + 2) % IDS, name, sizeof(name) - 1);
	if (w->react & TURN_OFF)
		configure(w, false);
	if (w->react & ANEW)
		configure(w, true);
	w->react = 0;
}

static void received(void *arg, uint64_t id, const uint8_t *msg, size_t len)
{
	struct world *w = arg;
	must(id < IDS && w->out[id] && w->found[id]);
	const uint8_t *asked = w->msg[id];
	size_t end = HEADER;
	while (asked[end])
		end += 1U + asked[end];
	end += 5;
	must(len >= end && memcmp(msg, asked, 2) == 0 &&
		memcmp(msg + HEADER, asked + HEADER, end - HEADER) == 0);
	must(msg[2] & 0x80 && msg[3] & 0x80 && (msg[3] & 15) != REFUSED);
	must(!(msg[3] & FLAG_AD) || w->secure[id]);
	give_up(w, (unsigned)id);
	react(w, (unsigned)id);
}

static void failed(void *arg, uint64_t id, int code)
{
	struct world *w = arg;
	must(id < IDS && w->out[id] && code);
	w->out[id] = false;
	react(w, (unsigned)id);
}

static void settle(struct world *w)
{
	for (int i = 0; i < IDS && !exchange_is_settled(w->x); i++)
		exchange_settle(w->x);
}

static void woken(void *arg)
{
	settle(arg);
}

static void told(void *arg, uint64_t id, bool secure)
{
	struct world *w = arg;
	w->found[id] = true;
	w->secure[id] = secure;
}

/* ---- steps ---- */

/* The name as labels of letters, or the bytes as they are; type and class. */
static void ask_some(struct world *w, unsigned op, unsigned what, struct rd *r)
{
	static const char *const names[] = { "\0\0\1\0\1", "\1a\4test\0\0\1\0\1", "\4A-_9\0\0\34\0\1",
		"\5\0.\\\xff \0\0\1\0\1" };
	static const uint8_t lens[] = { 5, 11, 10, 10 };
	uint8_t long_name[NAME_MAX_WIRE + 4];
	size_t n = rd_u8(r);
	script.ask_err = op & 64 ? UB_NOMEM : op & 128 ? UB_SYNTAX : UB_NOERROR;
	if (op & 8) { /* the longest there is: three labels of 63, one of 61 */
		memset(long_name, (int)n, sizeof(long_name));
		long_name[0] = long_name[64] = long_name[128] = 63;
		long_name[192] = 61;
		long_name[NAME_MAX_WIRE - 1] = 0;
		ask(w, what % IDS, long_name, sizeof(long_name));
	} else if (op & 16) {
		n = n < r->left ? n : r->left;
		n = op & 32 && 2 * n <= r->left ? 2 * n : n;
		n = n <= QUESTION_MAX - HEADER ? n : QUESTION_MAX - HEADER;
		ask(w, what % IDS, rd_take(r, n), n);
	} else {
		ask(w, what % IDS, (const uint8_t *)names[n & 3], lens[n & 3]);
	}
	script.ask_err = UB_NOERROR;
}

enum { KIND = 7, SECURE = 8, BOGUS = 16, NEGATIVE = 32, NO_PACKET = 64 };
enum { IS_ERROR, IS_NOTHING, IS_TRUE, IS_RAW, IS_CUT, IS_TOO_LONG, IS_REFUSED, IS_OTHER_NAME };

/* What was found: the question and bytes of the input after it, those alone, or what is none. */
static void packet_fill(struct ub_result *to, unsigned kind, const struct world *w, uint64_t id, struct rd *r)
{
	size_t n = rd_u8(r), len = kind == IS_RAW ? 0 : w->len[id];
	n = n < r->left ? n : r->left;
	size_t total = kind == IS_TOO_LONG ? TOO_LONG : len + n;
	uint8_t *p = library_memory(total); /* a byte more that is read is seen */
	memcpy(p, w->msg[id], len);
	if (n)
		memcpy(p + len, rd_take(r, n), n);
	if (kind != IS_RAW) {
		p[2] = (uint8_t)(n & 2);
		p[3] = kind == IS_REFUSED ? REFUSED : (uint8_t)(n & 3);
	}
	if (kind == IS_OTHER_NAME && total > HEADER)
		p[HEADER]++;
	to->answer_packet = p;
	to->answer_len = (int)(kind == IS_CUT ? total / 2 : total);
}

static void find(struct world *w, unsigned what, struct rd *r)
{
	unsigned how = rd_u8(r), kind = how & KIND;
	struct ub_ctx *c = script.newest;
	struct asked *a = c && c->n ? &c->asked[what % (unsigned)c->n] : NULL;
	if (!a || !a->arg || a->ready || r->bad)
		return;
	a->ready = true;
	a->err = kind == IS_ERROR ? UB_SERVFAIL : UB_NOERROR;
	if (kind != IS_NOTHING && !(kind == IS_ERROR && how & SECURE)) {
		a->r = library_memory(sizeof(*a->r));
		script.results++;
		a->r->secure = (how & SECURE) != 0;
		a->r->bogus = (how & BOGUS) != 0;
		packet_fill(a->r, kind, w, a->id, r);
		if (how & NO_PACKET) {
			free(a->r->answer_packet);
			a->r->answer_packet = NULL;
		} else if (how & NEGATIVE) {
			a->r->answer_len = -1;
		}
		size_t n = how & BOGUS ? rd_u8(r) : 0;
		a->r->why_bogus = n ? library_memory(n) : NULL;
		if (n) {
			memset(a->r->why_bogus, 'w', n);
			a->r->why_bogus[n - 1] = 0;
		}
	}
	must(write(c->fd, &(uint64_t) { 1 }, sizeof(uint64_t)) == sizeof(uint64_t));
}

/* With a fault of the library, or without. */
static void configure_some(struct world *w, unsigned op, unsigned what)
{
	static const struct exchange_validation nowhere = { .anchors = "/nonexistent/anchors" };
	struct errbuf eb = { 0 };
	switch (op >> 3 & 7) {
	case 0: configure(w, what & 1); return;
	case 1: script.absent = true; break;
	case 2: script.no_context = true; break;
	case 3: script.missing = 1 + what % (sizeof(functions) / sizeof(functions[0])); break;
	case 4: must(exchange_validate(w->x, &nowhere, &eb) && eb.text[0]); return;
	default:
		script.set_fails = what & 31;
		script.set_err = what >> 5;
		break;
	}
	configure(w, true);
}

static void step(struct world *w, struct awake *a, struct rd *r)
{
	unsigned op = rd_u8(r), what = rd_u8(r);
	switch (op & 7) {
	case 0:
	case 1: ask_some(w, op, what, r); break;
	case 2:
	case 3: find(w, what, r); break;
	case 4: give_up(w, what % IDS); break;
	case 5: configure_some(w, op, what); break;
	case 6: w->react = what & 15; break;
	case 7:
		settle(w);
		for (int i = 0; i < TURNS; i++)
			loop_run_once(a->loop);
		break;
	}
}

static void play(struct world *w, struct awake *a, const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	configure(w, true);
	for (unsigned i = 0; i < STEPS_MAX && r.left && !r.bad; i++)
		step(w, a, &r);
	settle(w);
	for (int i = 0; i < TURNS; i++)
		loop_run_once(a->loop);
	settle(w);
	for (size_t i = 0; i < IDS; i++)
		must(!w->out[i] || !w->found[i] || trouble_happened());
}

static void validate_target(const uint8_t *data, size_t len)
{
	struct awake a = awake_loop(loop_new());
	static struct world w;
	memset(&w, 0, sizeof(w));
	script.told = told;
	script.arg = &w;
	struct exchange_options o = { .loop = a.loop,
		.rnd = &random_steady,
		.received = received,
		.failed = failed,
		.woken = woken,
		.arg = &w };
	trouble_begin();
	w.x = exchange_open(&o, NULL);
	must(w.x || trouble_happened());
	if (w.x)
		play(&w, &a, data, len);
	trouble_end();
	exchange_close(w.x);
	must(!script.contexts && !script.results);
	awake_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	must(key_setup());
	return trouble_twice(validate_target, data, len);
}
