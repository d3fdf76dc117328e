#include "resolver/alone/tell.h"

#include "mesh/base/arena.h"
#include "mesh/base/key.h"
#include "mesh/os/prompt.h"
#include "mesh/proto/json.h"
#include "mesh/transport/http.h"
#include "mesh/web/password.h"
#include "resolver/alone/control.h"
#include "resolver/present.h"
#include "resolver/report_metrics.h"
#include "resolver/report_text.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, TARGET_MAX = 1024, FOLLOW_MS = 300, TIMEOUT_MS = 15000, SEARCH_MS = 60000 };

struct tell {
	const struct tell_options *o;
	const char *const *words;
	int n;
	struct loop *loop;
	unsigned timeout_ms; /* of a request */
	/* the answer to the last request */
	bool came;
	int status, code;
	struct buf body;
};

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("ropewalk-resolver: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("\n", stderr);
	va_end(ap);
	return EXIT_FAILURE;
}

/* ---- one exchange ---- */

static void done(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct tell *t = arg;
	t->status = head->status;
	t->came = buf_append(&t->body, body, len) && buf_cstr(&t->body);
	loop_stop(t->loop);
}

static void failed(void *arg, int code, const char *why)
{
	struct tell *t = arg;
	(void)why;
	t->code = code;
	loop_stop(t->loop);
}

static int unreachable(const struct tell *t)
{
	const char *at = t->o->socket;
	if (t->code == -ENOENT || t->code == -ECONNREFUSED)
		return complain("no ropewalk-resolver answers at %s: start it%s, or say where with --socket",
			at,
			strcmp(at, CONTROL_SOCKET) == 0
				? " (`systemctl start ropewalk-resolver`; `journalctl -u "
				  "ropewalk-resolver` says why it is not there)"
				: "");
	if (t->code == -EACCES || t->code == -EPERM)
		return complain("%s is for root and the user that ropewalk-resolver runs as", at);
	return complain("%s: %s", at, t->code ? err_text(t->code) : "memory is short");
}

/* EXIT_SUCCESS and the answer in t->body; else it was said why there is none. */
static int exchange_body(struct tell *t, const char *method, const char *target, const char *body)
{
	const struct http_request rq = { .unix_path = t->o->socket,
		.method = method,
		.target = target,
		.host = "ropewalk-resolver",
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.timeout_ms = t->timeout_ms };
	const struct http_client_events ev = { .done = done, .failed = failed, .arg = t };
	buf_free(&t->body);
	t->came = false;
	t->code = t->status = 0;
	if (http_request(t->loop, &rq, &ev))
		loop_run(t->loop);
	if (!t->came)
		return unreachable(t);
	if (t->status / 100 == 2)
		return EXIT_SUCCESS;
	char *text = (char *)buf_data(&t->body);
	text[strcspn(text, "\n")] = 0;
	return complain("%s", text);
}

static int exchange(struct tell *t, const char *method, const char *target)
{
	return exchange_body(t, method, target, NULL);
}

static const char *with(char out[static TARGET_MAX], const char *name, const char *value)
{
	char escaped[512];
	size_t len = strlen(out);
	http_escape(value, escaped, sizeof(escaped));
	snprintf(out + len, TARGET_MAX - len, "%c%s=%s", strchr(out, '?') ? '&' : '?', name, escaped);
	return out;
}

static void print(const struct buf *b)
{
	if (b->len)
		fwrite(buf_data(b), 1, b->len, stdout);
}

static int unreadable(void)
{
	return complain("the answer cannot be read: is it another version that runs?");
}

/* ---- verbs ---- */

static int print_answer(struct tell *t)
{
	print(&t->body);
	if (t->body.len && buf_data(&t->body)[t->body.len - 1] != '\n')
		fputs("\n", stdout);
	return EXIT_SUCCESS;
}

/* Of all questions what share, and what it is. */
static void stat_print(const char *name, json_int_t n, json_int_t queries)
{
	static const char *const shares[] = { "local", "blocked", "cached", "stale", "forwarded", "nxdomain",
		"servfail", "refused" };
	const char *help = report_metrics_help(name);
	char share[16] = "";
	for (size_t i = 0; queries > 0 && i < ARRAY_LEN(shares); i++)
		if (strcmp(shares[i], name) == 0)
			snprintf(share, sizeof(share), "%.1f %%", 100.0 * (double)n / (double)queries);
	printf("%-20s %12" JSON_INTEGER_FORMAT " %8s  %s\n", name, n, share, help ? help : "");
}

static int tell_stats(struct tell *t)
{
	int code = exchange(t, "GET", "/stats");
	if (code || t->o->json)
		return code ? code : print_answer(t);
	json_t *all = json_open((const char *)buf_data(&t->body), t->body.len, &json_of_own_daemon, NULL);
	json_int_t queries = json_integer_value(json_object_get(all, "queries"));
	const char *name;
	char since[40];
	json_t *n;
	if (all)
		printf("since %s; what is 0 is left out\n",
			text_time_format(json_integer_value(json_object_get(all, "since_unix_ms")), since));
	json_object_foreach(all, name, n) if (json_integer_value(n) && strcmp(name, "since_unix_ms") != 0)
		stat_print(name, json_integer_value(n), queries);
	json_decref(all);
	return all ? EXIT_SUCCESS : unreadable();
}

static int tell_metrics(struct tell *t)
{
	int code = exchange(t, "GET", "/metrics");
	return code ? code : print_answer(t);
}

static int tell_servers(struct tell *t)
{
	struct api_dns_servers m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	int code = exchange(t, "GET", "/servers");
	if (code || t->o->json)
		return code ? code : print_answer(t);
	if (api_dns_servers_read(&a, (const char *)buf_data(&t->body), t->body.len, &m, NULL) == 0) {
		report_text_servers(&b, &m);
		print(&b);
	} else {
		code = unreadable();
	}
	buf_free(&b);
	arena_free(&a);
	return code;
}

static int say_off(void)
{
	return complain("questions are not written down: `ropewalk-resolver log on`, or query-log: true");
}

static int tell_top(struct tell *t)
{
	struct api_dns_top m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	int code = exchange(t, "GET", "/top");
	if (code)
		return code;
	if (api_dns_top_read(&a, (const char *)buf_data(&t->body), t->body.len, &m, NULL) != 0)
		code = unreadable();
	else if (!m.on)
		code = say_off();
	else if (t->o->json)
		code = print_answer(t);
	else
		report_text_top(&b, &m);
	print(&b);
	buf_free(&b);
	arena_free(&a);
	return code;
}

/* What came after *last; *n: how many questions. */
static int log_get(struct tell *t, uint64_t *last, size_t *n)
{
	char target[TARGET_MAX] = "/log", after[24];
	struct api_dns_log m = { 0 };
	struct arena a = { 0 };
	struct buf b = { 0 };
	snprintf(after, sizeof(after), "%" PRIu64, *last);
	int code = exchange(t, "GET", with(target, "after", after));
	if (!code && api_dns_log_read(&a, (const char *)buf_data(&t->body), t->body.len, &m, NULL) != 0)
		code = unreadable();
	if (!code && !m.on)
		code = say_off();
	for (size_t i = 0; !code && i < m.n_questions; i++)
		report_text_question(&b, &m.questions[i], t->o->json);
	*last = m.last;
	*n = m.n_questions;
	print(&b);
	fflush(stdout);
	buf_free(&b);
	arena_free(&a);
	return code;
}

static void waited(void *arg)
{
	loop_stop(arg);
}

static int log_print(struct tell *t)
{
	struct loop_timer *timer = loop_timer_new(t->loop, waited, t->loop);
	uint64_t last = 0;
	size_t n = 0;
	int code = timer ? EXIT_SUCCESS : complain("out of memory");
	while (!code && !(code = log_get(t, &last, &n)) && (n || t->o->follow)) {
		if (n)
			continue;
		loop_timer_set(timer, FOLLOW_MS);
		loop_run(t->loop);
	}
	loop_timer_free(timer);
	return code;
}

static int order(struct tell *t, const char *target)
{
	int code = exchange(t, "POST", target);
	return code ? code : print_answer(t);
}

static int tell_log(struct tell *t)
{
	bool on = t->n == 2 && strcmp(t->words[1], "on") == 0;
	if (t->n == 1)
		return log_print(t);
	if (!on && strcmp(t->words[1], "off") != 0)
		return complain("log takes on, off or nothing"), EXIT_USAGE;
	return order(t, on ? "/log?on=true" : "/log?on=false");
}

static int tell_reload(struct tell *t)
{
	return order(t, "/reload");
}

static int tell_pause(struct tell *t)
{
	char target[TARGET_MAX] = "/pause";
	return order(t, t->n == 2 ? with(target, "for", t->words[1]) : target);
}

static int tell_flush(struct tell *t)
{
	char target[TARGET_MAX] = "/flush";
	struct api_dns_flushed m;
	struct arena a = { 0 };
	if (t->o->below && t->n < 2)
		return complain("flush --below needs a name"), EXIT_USAGE;
	if (t->n == 2)
		with(target, "name", t->words[1]);
	if (t->o->below)
		with(target, "below", "true");
	int code = exchange(t, "POST", target);
	if (code || t->o->json)
		return code ? code : print_answer(t);
	if (api_dns_flushed_read(&a, (const char *)buf_data(&t->body), t->body.len, &m, NULL) == 0)
		printf("%" PRIu64 " answers forgotten\n", m.n);
	else
		code = unreadable();
	arena_free(&a);
	return code;
}

static void answer_print(
	const struct tell *t, const struct api_dns_answer *m, struct buf *text, struct buf *reason)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	if (!t->o->json) {
		printf("From: %s, in %" PRIu64 " ms\n", m->source, m->took_ms);
		if (*m->route)
			printf("Route: %s\n", strcmp(m->route, ".") == 0 ? "everything else" : m->route);
		if (reason->len)
			printf("Reason: %s\n", buf_cstr(reason));
		print(text);
		return;
	}
	json_put(&o, "{\"Source\":");
	json_put_string(&o, m->source);
	json_put(&o, ",\"Route\":");
	json_put_string(&o, m->route);
	json_put(&o, ",\"TookMs\":");
	json_put_i64(&o, (int64_t)m->took_ms);
	json_put(&o, ",\"Reason\":");
	json_put_string(&o, buf_cstr(reason));
	json_put(&o, ",\"Answer\":");
	json_put_string(&o, buf_cstr(text));
	json_put(&o, "}\n");
	print(&b);
	buf_free(&b);
}

static int tell_query(struct tell *t)
{
	char target[TARGET_MAX] = "/query";
	struct api_dns_answer m;
	struct arena a = { 0 };
	struct buf text = { 0 }, reason = { 0 };
	if (t->n < 2)
		return complain("query needs a name"), EXIT_USAGE;
	with(target, "name", t->words[1]);
	if (t->n > 2)
		with(target, "type", t->words[2]);
	int code = exchange(t, "GET", target);
	if (code)
		return code;
	if (api_dns_answer_read(&a, (const char *)buf_data(&t->body), t->body.len, &m, NULL) == 0 &&
		present_message(m.raw, m.len, &text) && buf_cstr(&text) &&
		present_reason(m.raw, m.len, &reason) && buf_cstr(&reason))
		answer_print(t, &m, &text, &reason);
	else
		code = unreadable();
	buf_free(&text);
	buf_free(&reason);
	arena_free(&a);
	return code;
}

/* 0 when it is blocked. Lists are read through for it, which takes a second for a million names, or several. */
static int tell_blocked(struct tell *t)
{
	char target[TARGET_MAX] = "/blocked";
	struct api_dns_blocked m;
	struct arena a = { 0 };
	struct buf b = { 0 };
	if (t->n < 2)
		return complain("blocked needs a name"), EXIT_USAGE;
	with(target, "name", t->words[1]);
	if (t->o->client)
		with(target, "client", t->o->client);
	t->timeout_ms = SEARCH_MS;
	int code = exchange(t, "GET", target);
	if (code)
		return code;
	if (api_dns_blocked_read(&a, (const char *)buf_data(&t->body), t->body.len, &m, NULL) != 0) {
		code = unreadable();
	} else {
		if (t->o->json)
			print_answer(t);
		else
			report_text_blocked(&b, &m, t->words[1], t->o->client);
		code = m.blocked ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	print(&b);
	buf_free(&b);
	arena_free(&a);
	return code;
}

static int tell_name(struct tell *t)
{
	char target[TARGET_MAX];
	if (t->n < 2)
		return complain("%s needs a name", t->words[0]), EXIT_USAGE;
	snprintf(target, sizeof(target), "/%s", t->words[0]);
	return order(t, with(target, "name", t->words[1]));
}

/* It leaves this process as a hash alone. */
static int tell_password(struct tell *t)
{
	char password[PASSWORD_MAX + 2] = "", hash[PASSWORD_HASH];
	struct errbuf eb = { 0 };
	int err = prompt_password(PASSWORD_MIN, PASSWORD_MAX, password, &eb);
	if (!err && !password_make(password, hash))
		err = err_say(&eb, -ENOMEM, "memory is short");
	key_wipe(password, sizeof(password));
	if (err)
		return complain("%s", eb.text);
	int code = exchange_body(t, "POST", "/password", hash);
	key_wipe(hash, sizeof(hash));
	return code ? code : print_answer(t);
}

/* ---- the table ---- */

static const struct verb {
	struct man_verb man;
	int most; /* words, with the verb */
	int (*run)(struct tell *t);
} verbs[] = {
	{ { "stats", "", "how many questions came, and what became of them", NULL, NULL }, 1, tell_stats },
	{ { "top", "", "the names and clients that are most frequent; needs the log", NULL, NULL }, 1,
		tell_top },
	{ { "log", "[on|off]", "the last 2048 questions; -f goes on as they come",
		  "Who asked for what, what it got, and from where (zone, rules, block, cache, stale, "
		  "upstream, "
		  "nowhere). Nothing is written down unless `log on` or query-log: true turned that on; it "
		  "stays in "
		  "memory, and is forgotten with `log off` and at the end.",
		  NULL },
		2, tell_log },
	{ { "servers", "", "whom it asks for what, and how they fare", NULL, NULL }, 1, tell_servers },
	{ { "query", "NAME [TYPE]", "ask it, and say from where the answer came", NULL, NULL }, 3,
		tell_query },
	{ { "flush", "[NAME]",
		  "forget what upstreams said of NAME, or of all; --below: of the names under it too", NULL,
		  NULL },
		2, tell_flush },
	{ { "pause", "[TIME|off]", "block nothing for a while, or for so long",
		  "TIME is as 10m, up to 24h; without it, it is `pause` of the configuration. off ends a "
		  "pause.",
		  NULL },
		2, tell_pause },
	{ { "allow", "NAME", "let a name through from now on, whatever lists say; *.NAME: what is below it",
		  NULL, NULL },
		2, tell_name },
	{ { "deny", "NAME", "block a name from now on; *.NAME: what is below it", NULL, NULL }, 2,
		tell_name },
	{ { "forget", "NAME", "take back what allow or deny said", NULL, NULL }, 2, tell_name },
	{ { "password", "", "set the password of the page; asked for, or a line of standard input", NULL,
		  NULL },
		1, tell_password },
	{ { "blocked", "NAME", "which lists have a name, and at which line; 0 when it is blocked, 1 when not",
		  "It is asked of the resolver that runs, with pauses and hours as they are now, for a "
		  "client of "
		  "no group or for "
		  "--client. With -c FILE nobody is asked: the lists of that configuration are read, as if "
		  "all "
		  "held now.",
		  NULL },
		2, tell_blocked },
	/* What has no function asks nobody: main.c does it. */
	{ { "convert", "FILE...",
		  "make a configuration of those of dnsmasq, unbound or pi-hole, on standard output", NULL,
		  NULL },
		1, NULL },
	{ { "reload", "", "read the configuration and the lists again", NULL, NULL }, 1, tell_reload },
	{ { "metrics", "", "all counters in the text format of Prometheus", NULL, NULL }, 1, tell_metrics },
	{ { "version", "", "print the version", NULL, NULL }, 1, NULL },
	{ { "help", "[VERB]", "say how a verb is used", NULL, NULL }, 2, NULL },
};

const struct man_verb *const tell_verbs[] = { &verbs[0].man, &verbs[1].man, &verbs[2].man, &verbs[3].man,
	&verbs[4].man, &verbs[5].man, &verbs[6].man, &verbs[7].man, &verbs[8].man, &verbs[9].man,
	&verbs[10].man, &verbs[11].man, &verbs[12].man, &verbs[13].man, &verbs[14].man, &verbs[15].man,
	&verbs[16].man, NULL };
static_assert(ARRAY_LEN(tell_verbs) == ARRAY_LEN(verbs) + 1, "tell_verbs misses one");

static const struct verb *verb_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].man.name, word) == 0)
			return &verbs[i];
	return NULL;
}

const struct man_verb *tell_man(const char *word)
{
	const struct verb *v = verb_of(word);
	return v ? &v->man : NULL;
}

bool tell_is_verb(const char *word)
{
	const struct verb *v = verb_of(word);
	return v && v->run;
}

int tell_run(const struct tell_options *o, const char *const *words, int n)
{
	const struct verb *v = verb_of(words[0]);
	struct tell t = { .o = o, .words = words, .n = n, .timeout_ms = TIMEOUT_MS };
	if (n > v->most)
		return complain("%s takes %s", words[0], *v->man.words ? v->man.words : "nothing"),
		       EXIT_USAGE;
	t.loop = loop_new();
	int code = t.loop ? v->run(&t) : complain("out of memory");
	fflush(stdout);
	buf_free(&t.body);
	loop_free(t.loop);
	return code;
}
