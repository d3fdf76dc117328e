#include "simnet/lab/lab.h"

#include "simnet/scenario/dnsmsg.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RETRY_MS = 40, ANSWER_MS = 5500, SERVERS_MAX = 3, SEARCH_MAX = 6, COMMAND_MS = 12000 };

/* ---- as programs see it: the C library's resolver in the node */

/* 0, ERR_REFUSED when the name does not resolve, or what kept us from asking. */
static int ask_libc(struct lab *l, int from, const char *name, struct addr *out, struct errbuf *eb)
{
	const char *const argv[] = { "getent", "ahostsv4", name, NULL };
	struct buf text = { .cap = 1 << 16 };
	int status = lab_run(l, from, argv, COMMAND_MS, &text, eb);
	const char *line = buf_cstr(&text);
	char word[64] = "";

	if (line)
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(line, " \n"), line);
	buf_free(&text);
	if (status < 0 && status != -ETIMEDOUT)
		return status;
	if (status == 0 && addr_parse(word, out))
		return 0;
	return err_say(eb, ERR_REFUSED, "%s cannot resolve '%s'", l->s->nodes[from].name, name);
}

int lookup_address(
	struct lab *l, int from, const char *to, uint64_t deadline_ms, struct addr *out, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, to);
	struct fields f = { .lab = l, .node = node, .each_node = -1 };
	const char *text = to;
	struct buf name = { .cap = 512 };

	if (node >= 0) {
		const struct adapter *a = l->programs[node].adapter;
		if (!a || !a->mesh_name) {
			*out = l->s->nodes[node].ip;
			return 0;
		}
		text = a->mesh_name;
	}
	int err = fields_expand(&f, text, &name, eb);
	if (err == TEMPLATE_WAIT)
		err = err_say(eb, ERR_MALFORMED, "there is no value of '%s' yet", text);
	while (!err && !addr_parse(buf_cstr(&name), out)) {
		int no = ask_libc(l, from, buf_cstr(&name), out, eb);
		if (!no)
			break;
		if (no != ERR_REFUSED || l->interrupted || l->failed || loop_now_ms(l->loop) >= deadline_ms)
			err = no;
		else
			lab_sleep(l, RETRY_MS);
	}
	buf_free(&name);
	return err;
}

/* ---- as a DNS client sees it */

struct resolv_conf {
	struct addr servers[SERVERS_MAX];
	size_t n_servers;
	char search[SEARCH_MAX][128];
	size_t n_search;
};

static void read_search(struct resolv_conf *c, char *words)
{
	char *save = NULL;

	c->n_search = 0;
	for (char *w = strtok_r(words, " \t", &save); w && c->n_search < SEARCH_MAX;
		w = strtok_r(NULL, " \t", &save))
		snprintf(c->search[c->n_search++], sizeof(c->search[0]), "%s", w);
}

static int read_resolv_conf(struct lab *l, int node, struct resolv_conf *c, struct errbuf *eb)
{
	static const char *const argv[] = { "cat", "/etc/resolv.conf", NULL };
	struct buf text = { .cap = 1 << 16 };
	int status = lab_run(l, node, argv, COMMAND_MS, &text, eb);
	char *save = NULL, *all = status ? NULL : (char *)(uintptr_t)buf_cstr(&text);

	for (char *line = all ? strtok_r(all, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "search ", 7))
			read_search(c, line + 7);
		else if (!strncmp(line, "nameserver ", 11) && c->n_servers < SERVERS_MAX &&
			 addr_parse(line + 11 + strspn(line + 11, " \t"), &c->servers[c->n_servers]))
			c->n_servers++;
	}
	buf_free(&text);
	if (status)
		return status < 0 ? status : ERR_REFUSED;
	return c->n_servers ? 0
			    : err_say(eb, ERR_REFUSED, "%s has no nameserver in /etc/resolv.conf",
				      l->s->nodes[node].name);
}

struct question {
	struct lab *lab;
	int fd;
	uint16_t id, type;
	bool answered;
	struct dnsmsg_reply reply;
	struct buf values;
};

static void read_answer(void *arg, int events)
{
	struct question *q = arg;
	uint8_t msg[DNSMSG_MAX];
	struct dnsmsg_reply r;
	(void)events;

	ssize_t n = recv(q->fd, msg, sizeof(msg), MSG_DONTWAIT);
	if (n <= 0 || q->answered)
		return;
	struct buf values = { .cap = 1 << 16 };
	if (dnsmsg_read_reply(msg, (size_t)n, q->type, &r, &values) && r.id == q->id) {
		q->reply = r;
		q->values = values;
		q->answered = true;
		lab_poke(q->lab);
	} else {
		buf_free(&values);
	}
}

static bool is_answered(void *arg)
{
	return ((struct question *)arg)->answered;
}

/* 0 with q->reply and q->values, or a negative code. */
static int ask(struct question *q, int node, const struct addr *server, const char *name, struct errbuf *eb)
{
	uint8_t msg[512];
	struct endpoint to = { .ip = *server, .port = 53 };
	struct sockaddr_storage sa;
	char where[ADDR_TEXT];
	int family = addr_is_v4(server) ? AF_INET : AF_INET6;

	q->answered = false;
	q->id = (uint16_t)(clock_now_ns() >> 10);
	size_t len = dnsmsg_write_query(msg, sizeof(msg), q->id, name, q->type);
	if (!len)
		return err_say(eb, ERR_MALFORMED, "'%s' is not a DNS name", name);
	q->fd = hosts_socket(q->lab->hosts, node, family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, eb);
	if (q->fd < 0)
		return q->fd;
	struct loop_fd *watch = loop_fd_new(q->lab->loop, q->fd, read_answer, q);
	int err = watch ? 0 : err_say(eb, -ENOMEM, "out of memory");
	if (watch)
		loop_fd_set(watch, LOOP_READ);
	if (!err &&
		sendto(q->fd, msg, len, 0, (struct sockaddr *)&sa, endpoint_to_sockaddr(&to, false, &sa)) < 0)
		err = err_set(eb, -errno, "ask %s", addr_format(server, where));
	if (!err && !lab_wait(q->lab, is_answered, q, loop_now_ms(q->lab->loop) + ANSWER_MS))
		err = err_say(eb, -ETIMEDOUT, "no answer from %s", addr_format(server, where));
	loop_fd_free(watch);
	close(q->fd);
	return err;
}

/* Bare names go through the search list first, as the C library does. */
static int ask_all(
	struct question *q, int node, const struct resolv_conf *c, const char *name, struct errbuf *eb)
{
	struct addr literal;
	bool bare = !strchr(name, '.') && !addr_parse(name, &literal);
	int err = ERR_REFUSED;

	for (size_t i = 0; i <= (bare ? c->n_search : 0); i++) {
		char full[512];
		bool last = !bare || i == c->n_search;
		snprintf(full, sizeof(full), "%s%s%s", name, last ? "" : ".", last ? "" : c->search[i]);
		for (size_t k = 0; k < c->n_servers; k++) {
			buf_free(&q->values);
			err = ask(q, node, &c->servers[k], full, eb);
			if (!err || q->lab->interrupted)
				break;
		}
		if (err || q->reply.answers || q->reply.rcode != 3 || (bare && i + 1 == c->n_search))
			return err;
	}
	return err;
}

static bool has_line(const char *text, const char *want)
{
	size_t n = strlen(want);

	for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strcspn(text, "\n") == n && !strncmp(text, want, n))
			return true;
	return false;
}

static bool matches(const struct question *q, const char *want, const char *values)
{
	const char *word = dnsmsg_rcode_word(&q->reply);
	if (!want)
		return !*word;
	return *word ? !strcmp(word, want) : has_line(values, want);
}

static int resolve_once(
	struct lab *l, const struct scn_step *st, const char *name, const char *want, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, st->from);
	const char *type = st->type ? st->type : "A";
	struct question q = { .lab = l, .type = dnsmsg_type(type) };
	struct resolv_conf c = { 0 };
	char got[200];

	if (!q.type)
		return err_say(eb, ERR_MALFORMED, "unknown record type '%s'", type);
	int err = read_resolv_conf(l, node, &c, eb);
	uint64_t start_ns = clock_now_ns();
	if (!err)
		err = ask_all(&q, node, &c, name, eb);
	double ms = (double)(clock_now_ns() - start_ns) / 1e6;
	if (!err) {
		const char *word = dnsmsg_rcode_word(&q.reply), *values = buf_cstr(&q.values);
		snprintf(got, sizeof(got), "%.*s", values && !*word ? (int)strcspn(values, "\n") : 20,
			*word ? word : values);
		if (matches(&q, want, values))
			story_say(l->story, "resolve", STORY_GOOD, "%s resolves %s %s: %s (%.1f ms)",
				st->from, name, type, got, ms);
		else
			err = err_say(eb, ERR_REFUSED, "%s resolves %s %s to %s, wanted %s", st->from, name,
				type, got, want ? want : "any answer");
	}
	buf_free(&q.values);
	return err;
}

int lookup_resolve(
	struct lab *l, const struct scn_step *st, const char *name, const char *want, struct errbuf *eb)
{
	uint64_t deadline = loop_now_ms(l->loop) + st->within_ms;

	for (;;) {
		int err = resolve_once(l, st, name, want, eb);
		if (!err || err == ERR_MALFORMED || l->interrupted || loop_now_ms(l->loop) >= deadline)
			return err;
		lab_sleep(l, RETRY_MS);
	}
}
