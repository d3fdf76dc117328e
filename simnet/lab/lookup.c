#include "simnet/lab/lab.h"

#include "simnet/scenario/dnsmsg.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RETRY_MS = 40, SERVERS_MAX = 3, SEARCH_MAX = 6, COMMAND_MS = 12000 };
enum { ASK_LEAST_MS = 200, ASK_AGAIN_MS = 1000 };

/* Left until the deadline, but never so little that nothing can be asked. */
static uint64_t time_left(const struct lab *l, uint64_t deadline_ms, uint64_t least_ms)
{
	uint64_t now = loop_now_ms(l->loop);
	return now + least_ms < deadline_ms ? deadline_ms - now : least_ms;
}

/* ---- as programs see it: the C library's resolver in the node */

/* Of one family: 0, ERR_REFUSED when the name has no address of it, -ETIMEDOUT, or what kept us from asking.
 */
static int ask_getent(struct lab *l, int from, const char *family, const char *name, uint64_t deadline_ms,
	struct addr *out, struct errbuf *eb)
{
	const char *const argv[] = { "getent", family, name, NULL };
	struct buf text = { .cap = 1 << 16 };
	int status = lab_run(
		l, from, argv, deadline_ms ? time_left(l, deadline_ms, ASK_LEAST_MS) : COMMAND_MS, &text, eb);
	const char *line = buf_cstr(&text);
	char word[64] = "";

	if (line)
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(line, " \n"), line);
	buf_free(&text);
	if (status < 0)
		return status;
	return status == 0 && addr_parse(word, out) ? 0 : ERR_REFUSED;
}

/* Its IPv4 address; of a name that has none the IPv6 one. 0, ERR_REFUSED when the name does not resolve, or
 * what kept us from asking. */
static int ask_libc(
	struct lab *l, int from, const char *name, uint64_t deadline_ms, struct addr *out, struct errbuf *eb)
{
	int err = ask_getent(l, from, "ahostsv4", name, deadline_ms, out, eb);
	if (err == ERR_REFUSED)
		err = ask_getent(l, from, "ahostsv6", name, deadline_ms, out, eb);
	if (!err || (err < 0 && err != ERR_REFUSED && err != -ETIMEDOUT))
		return err;
	return err_say(eb, ERR_REFUSED, "%s cannot resolve '%s'", l->s->nodes[from].name, name);
}

/* An address as it is, a name by asking again until the deadline (0: once), which is later on a slow machine. */
static int find_address(
	struct lab *l, int from, const char *name, uint64_t deadline_ms, struct addr *out, struct errbuf *eb)
{
	struct lab_since since = lab_since(l);

	while (!addr_parse(name, out)) {
		uint64_t until = lab_stretched_ms(l, &since.mark, since.ms, deadline_ms);
		int no = ask_libc(l, from, name, until, out, eb);
		if (!no)
			break;
		if (no != ERR_REFUSED || l->interrupted || l->failed || !deadline_ms)
			return no;
		if (loop_now_ms(l->loop) >= lab_stretched_ms(l, &since.mark, since.ms, deadline_ms))
			return eb->code = -ETIMEDOUT; /* it was the time that ended it */
		lab_sleep(l, RETRY_MS);
	}
	return 0;
}

/* ---- who is probed, and how */

static const struct adapter *adapter_of(const struct lab *l, int node)
{
	return node < 0 ? NULL : l->programs[node].adapter;
}

struct target target_plan(const struct lab *l, int from, const char *to)
{
	int node = scenario_find_node(l->s, to);
	const struct adapter *ours = adapter_of(l, from), *theirs = adapter_of(l, node);
	struct target t = { .kind = PROBE_ICMP };

	if (node < 0)
		return t;
	if (ours && ours->probe.how) {
		t.by_word = ours->probe.how == ADAPTER_PROBE_WORD;
		t.kind = ours->probe.how == ADAPTER_PROBE_UDP	? PROBE_UDP
			 : ours->probe.how == ADAPTER_PROBE_TCP ? PROBE_TCP
								: PROBE_ICMP;
		return t;
	}
	if (theirs && theirs->mesh_name)
		return t;
	/* A program that knows paths but has no address in a mesh: nobody else can say whether they carry. */
	t.by_word = ours && ours->path_argv && !ours->mesh_name;
	t.underlay = !t.by_word;
	return t;
}

/* "ADDRESS:PORT", "[ADDRESS]:PORT" or "NAME:PORT"; ICMP has no port. */
static int find_endpoint(
	struct lab *l, int from, char *text, uint64_t deadline_ms, struct target *t, struct errbuf *eb)
{
	char *colon = t->kind == PROBE_ICMP ? NULL : strrchr(text, ':');
	unsigned port = 0;
	char end;

	if (t->kind != PROBE_ICMP && endpoint_parse(text, &t->at))
		return 0;
	if (t->kind != PROBE_ICMP &&
		(!colon || sscanf(colon + 1, "%u%c", &port, &end) != 1 || !port || port > 65535))
		return err_say(eb, ERR_MALFORMED, "'%s' is no address to probe, as 192.0.2.1:7", text);
	if (colon)
		*colon = '\0';
	t->at.port = (uint16_t)port;
	return find_address(l, from, text, deadline_ms, &t->at.ip, eb);
}

int target_find(
	struct lab *l, int from, const char *to, uint64_t deadline_ms, struct target *out, struct errbuf *eb)
{
	int node = scenario_find_node(l->s, to);
	const struct adapter *ours = adapter_of(l, from), *theirs = adapter_of(l, node);
	struct target t = target_plan(l, from, to);
	/* What the prober's adapter says is expanded there, the mesh name at the one who has it. */
	bool by_probe = node >= 0 && ours && ours->probe.how;
	struct fields f = {
		.lab = l, .node = by_probe ? from : node, .each_node = -1, .to = by_probe ? to : NULL
	};
	const char *text = by_probe ? ours->probe.to : theirs && theirs->mesh_name ? theirs->mesh_name : to;
	struct buf name = { .cap = 512 };
	int err = 0;

	if (t.underlay)
		t.at.ip = topology_ip(l->s, lab_step_number(l), node);
	else if (!t.by_word)
		err = fields_expand(&f, text, &name, eb);
	if (err == TEMPLATE_WAIT)
		err = err_say(eb, ERR_MALFORMED, "there is no value of '%s' yet", text);
	if (!err && !t.by_word && !t.underlay)
		err = find_endpoint(l, from, (char *)(uintptr_t)buf_cstr(&name), deadline_ms, &t, eb);
	buf_free(&name);
	if (!err)
		*out = t;
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

static int read_resolv_conf(
	struct lab *l, int node, uint64_t deadline_ms, struct resolv_conf *c, struct errbuf *eb)
{
	static const char *const argv[] = { "cat", "/etc/resolv.conf", NULL };
	struct buf text = { .cap = 1 << 16 };
	int status = lab_run(l, node, argv, time_left(l, deadline_ms, ASK_LEAST_MS), &text, eb);
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

bool lookup_cut_off(struct lab *l, int node, struct addr *server)
{
	struct resolv_conf c = { 0 };
	struct errbuf eb;

	if (read_resolv_conf(l, node, loop_now_ms(l->loop) + ASK_AGAIN_MS, &c, &eb))
		return false;
	for (size_t i = 0; i < c.n_servers; i++)
		if (!lab_has_no_way(l, node, &c.servers[i]))
			return false;
	*server = c.servers[0];
	return true;
}

struct question {
	struct lab *lab;
	uint64_t deadline_ms;
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

/* A question is lost like any other packet: it is asked again, with the same id, so that a late answer
 * counts. */
static int ask_again_until(struct question *q, const struct endpoint *to, const uint8_t *msg, size_t len,
	uint64_t until, struct errbuf *eb)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = endpoint_to_sockaddr(to, false, &sa);
	char where[ADDR_TEXT];

	for (;;) {
		uint64_t left = time_left(q->lab, until, 0);
		if (sendto(q->fd, msg, len, 0, (struct sockaddr *)&sa, sa_len) < 0)
			return err_set(eb, -errno, "ask %s", addr_format(&to->ip, where));
		if (lab_look(q->lab, is_answered, q, left < ASK_AGAIN_MS ? left : ASK_AGAIN_MS))
			return 0;
		if (q->lab->interrupted || loop_now_ms(q->lab->loop) >= until)
			return err_say(eb, -ETIMEDOUT, "no answer from %s", addr_format(&to->ip, where));
	}
}

/* 0 with q->reply and q->values, or a negative code. */
static int lookup_ask(struct question *q, int node, const struct addr *server, const char *name,
	uint64_t until_ms, struct errbuf *eb)
{
	uint8_t msg[512];
	struct endpoint to = { .ip = *server, .port = 53 };
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
	if (!err)
		err = ask_again_until(q, &to, msg, len, until_ms, eb);
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
			uint64_t now = loop_now_ms(q->lab->loop), left = time_left(q->lab, q->deadline_ms, 0);
			buf_free(&q->values);
			err = lookup_ask(q, node, &c->servers[k], full, now + left / (c->n_servers - k), eb);
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

struct wanted {
	const struct scn_step *st;
	const char *name, *value; /* value NULL: any */
	uint64_t deadline_ms;
};

static int resolve_once(struct lab *l, const struct wanted *w, struct errbuf *eb)
{
	const struct scn_step *st = w->st;
	const char *name = w->name, *want = w->value;
	int node = scenario_find_node(l->s, st->from);
	const char *type = st->type ? st->type : "A";
	struct question q = { .lab = l, .deadline_ms = w->deadline_ms, .type = dnsmsg_type(type) };
	struct resolv_conf c = { 0 };
	char got[200];

	if (!q.type)
		return err_say(eb, ERR_MALFORMED, "unknown record type '%s'", type);
	int err = read_resolv_conf(l, node, w->deadline_ms, &c, eb);
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
	struct wanted w = { .st = st, .name = name, .value = want };
	struct slowness_mark mark = slowness_now(l->slowness);
	uint64_t start = loop_now_ms(l->loop), bound = start + st->within_ms;

	struct errbuf answered = { 0 }; /* says more than that the last question had no time left */
	for (;;) {
		w.deadline_ms = lab_stretched_ms(l, &mark, start, bound);
		int err = resolve_once(l, &w, eb);
		if (err == ERR_REFUSED)
			answered = *eb;
		if (!err || err == ERR_MALFORMED || l->interrupted || l->failed)
			return err;
		if (loop_now_ms(l->loop) >= lab_stretched_ms(l, &mark, start, bound)) {
			if (answered.code)
				*eb = answered;
			if (eb->code == ERR_REFUSED) /* it was the time that ended it */
				eb->code = -ETIMEDOUT;
			return eb->code;
		}
		lab_sleep(l, RETRY_MS);
	}
}
