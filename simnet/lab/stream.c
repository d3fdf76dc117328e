#include "simnet/lab/lab.h"

#include "mesh/base/ip.h"
#include "mesh/base/wire.h"
#include "simnet/scenario/jsonpath.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROBE_EVERY_MS = 25, ASK_FAST_MS = 40, ASK_SLOW_MS = 500, ASK_TIMEOUT_MS = 3000 };
enum { ECHO4 = 8, REPLY4 = 0, ECHO6 = 128, REPLY6 = 129, UNREACHABLE4 = 3, READS_PER_WAKEUP = 32 };
static const uint8_t magic[4] = { 's', 'i', 'm', 'n' };

struct stream *stream_find(const struct lab *l, const char *from, const char *to)
{
	for (struct stream *s = l->streams; s; s = s->next)
		if (!strcmp(l->s->nodes[s->from].name, from) && !strcmp(s->to_text, to))
			return s;
	return NULL;
}

/* ---- probes */

static void send_probe(void *arg)
{
	struct stream *s = arg;
	bool v4 = addr_is_v4(&s->dest);
	uint8_t msg[40];
	struct wr w = wr_of(msg, sizeof(msg));
	struct endpoint to = { .ip = s->dest };
	struct sockaddr_storage sa;
	uint32_t seq = 0;

	loop_timer_set(s->timer, PROBE_EVERY_MS);
	if (!meter_sent(&s->meter, loop_now_ms(s->lab->loop), &seq))
		return;
	wr_u8(&w, v4 ? ECHO4 : ECHO6);
	wr_u8(&w, 0);
	wr_u16(&w, 0); /* checksum; for ICMPv6 the kernel's work */
	wr_u16(&w, s->id);
	wr_u16(&w, (uint16_t)seq);
	wr_bytes(&w, magic, sizeof(magic));
	wr_u32(&w, seq);
	wr_zero(&w, 16);
	if (v4)
		be_put(msg + 2, 2, ip_checksum(msg, w.len, 0));
	/* A failed send is a lost probe: the interface may be gone with its program. */
	ssize_t n = sendto(s->fd, msg, w.len, MSG_DONTWAIT, (struct sockaddr *)&sa,
		endpoint_to_sockaddr(&to, false, &sa));
	s->send_errno = n < 0 ? errno : 0;
}

static bool is_reply(const struct stream *s, struct rd r, uint32_t *seq)
{
	bool v4 = addr_is_v4(&s->dest);

	if (v4) { /* raw IPv4 sockets deliver the header too */
		uint8_t first = r.left ? r.p[0] : 0;
		rd_take(&r, (size_t)(first & 15) * 4);
	}
	uint8_t type = rd_u8(&r);
	rd_take(&r, 3);
	uint16_t id = rd_u16(&r);
	rd_u16(&r);
	const uint8_t *mark = rd_take(&r, sizeof(magic));
	*seq = rd_u32(&r);
	return !r.bad && type == (v4 ? REPLY4 : REPLY6) && id == s->id && !memcmp(mark, magic, sizeof(magic));
}

/* An ICMP error about a probe of ours: who sent it, and why. Raw IPv4 sockets hear them as well. */
static void read_refusal(struct stream *s, struct rd r)
{
	struct ip_view outer;

	if (!addr_is_v4(&s->dest) || !ip_parse(r.p, r.left, &outer) || outer.icmp_type != UNREACHABLE4)
		return;
	rd_take(&r, (size_t)outer.l4_at + 8);
	const uint8_t *cited = rd_take(&r, 20);
	size_t options = cited ? (size_t)(cited[0] & 15) * 4 - 20 : 0;
	rd_take(&r, options + 4);
	uint16_t id = rd_u16(&r);
	if (r.bad || id != s->id || memcmp(cited + 16, s->dest.b + 12, 4) != 0)
		return;
	s->refused_by = outer.src;
	s->refused_code = outer.icmp_code;
}

const char *stream_trouble(const struct stream *s, char *buf, size_t cap)
{
	static const char *const words[] = { "the network cannot be reached", "the host cannot be reached",
		"the protocol is not known", "the port is closed" };
	char by[ADDR_TEXT];

	buf[0] = '\0';
	if (s->send_errno)
		snprintf(buf, cap, ", and %s cannot send: %s", s->lab->s->nodes[s->from].name,
			strerror(s->send_errno));
	else if (!addr_is_unspecified(&s->refused_by))
		snprintf(buf, cap, ", and %s says that %s", addr_format(&s->refused_by, by),
			s->refused_code < ARRAY_LEN(words) ? words[s->refused_code] : "it is forbidden");
	return buf;
}

static void read_replies(void *arg, int events)
{
	struct stream *s = arg;
	uint8_t msg[256];
	uint32_t seq;
	bool any = false;
	(void)events;

	for (unsigned i = 0; i < READS_PER_WAKEUP; i++) {
		ssize_t n = recv(s->fd, msg, sizeof(msg), MSG_DONTWAIT);
		if (n < 0)
			break;
		if (!is_reply(s, rd_of(msg, (size_t)n), &seq)) {
			read_refusal(s, rd_of(msg, (size_t)n));
		} else if (meter_received(&s->meter, seq, loop_now_ms(s->lab->loop))) {
			s->refused_by = (struct addr) { 0 };
			any = true;
		}
	}
	if (any)
		lab_poke(s->lab);
}

/* ---- the path, as the program says */

static bool selects(const json_t *root, const char *path, const struct fields *f, char *detail, size_t cap)
{
	struct buf text = { .cap = 512 }, found = { .cap = 1 << 16 };
	struct errbuf eb;
	bool hit = !fields_expand(f, path, &text, &eb) &&
		   jsonpath_select(root, buf_cstr(&text), &found, &eb) > 0;

	if (hit)
		snprintf(detail, cap, "%.*s", (int)strcspn(buf_cstr(&found), "\n"), buf_cstr(&found));
	buf_free(&text);
	buf_free(&found);
	return hit;
}

static struct fields fields_of(const struct stream *s)
{
	return (struct fields) {
		.lab = s->lab, .node = s->from, .each_node = -1, .to = s->lab->s->nodes[s->to].name
	};
}

static void path_seen(struct stream *s, enum scn_path path, const char *detail)
{
	const char *from = s->lab->s->nodes[s->from].name;

	s->paths_seen |= 1u << path;
	s->path_ms = s->asking_ms;
	lab_poke(s->lab);
	if (path == s->path && !strcmp(detail, s->detail))
		return;
	s->path = path;
	snprintf(s->detail, sizeof(s->detail), "%s", detail);
	if (path == PATH_NONE)
		story_say(s->lab->story, "path", STORY_NOTE, "%s -> %s has no path", from, s->to_text);
	else
		story_say(s->lab->story, "path", path == PATH_DIRECT ? STORY_GOOD : STORY_NOTE,
			"%s -> %s is %s (%s)", from, s->to_text, path == PATH_DIRECT ? "direct" : "by relay",
			s->detail);
}

static void query_done(void *owner, const struct job_result *r)
{
	struct stream *s = owner;
	const struct adapter *a = s->lab->programs[s->from].adapter;
	const char *text = buf_cstr(r->out);
	json_t *root = text && r->status == 0 ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	struct fields f = fields_of(s);
	char detail[96] = "";

	s->query = NULL;
	if (root && selects(root, a->path_direct, &f, detail, sizeof(detail)))
		path_seen(s, PATH_DIRECT, detail);
	else if (root && selects(root, a->path_relay, &f, detail, sizeof(detail)))
		path_seen(s, PATH_RELAY, detail);
	else if (root)
		path_seen(s, PATH_NONE, "");
	json_decref(root);
	loop_timer_set(s->ask, loop_now_ms(s->lab->loop) < s->lab->hot_until_ms ? ASK_FAST_MS : ASK_SLOW_MS);
}

static void ask_path(void *arg)
{
	struct stream *s = arg;
	const struct adapter *a = s->lab->programs[s->from].adapter;
	struct fields f = fields_of(s);
	struct errbuf eb;
	char **argv = NULL;

	s->asking_ms = loop_now_ms(s->lab->loop);
	if (s->lab->programs[s->from].proc && !fields_argv(&f, a->path_argv, &argv, &eb)) {
		struct proc_place at = lab_place(s->lab, s->from);
		s->query = job_start(&at, (const char *const *)argv, ASK_TIMEOUT_MS, query_done, s, &eb);
		fields_argv_free(argv);
	}
	if (!s->query)
		loop_timer_set(s->ask, ASK_SLOW_MS);
}

void stream_ask(struct stream *s)
{
	if (loop_timer_is_set(s->ask))
		loop_timer_set(s->ask, 0);
}

/* ---- life */

static void close_stream(struct stream *s)
{
	job_free(s->query);
	loop_timer_free(s->timer);
	loop_timer_free(s->ask);
	loop_fd_free(s->watch);
	if (s->fd >= 0)
		close(s->fd);
	meter_fini(&s->meter);
	free(s);
}

static int start(struct stream *s, struct errbuf *eb)
{
	bool v4 = addr_is_v4(&s->dest);
	const struct adapter *a = s->lab->programs[s->from].adapter;

	s->fd = hosts_socket(s->lab->hosts, s->from, v4 ? AF_INET : AF_INET6,
		SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, eb);
	if (s->fd < 0)
		return s->fd;
	s->timer = loop_timer_new(s->lab->loop, send_probe, s);
	s->ask = loop_timer_new(s->lab->loop, ask_path, s);
	s->watch = loop_fd_new(s->lab->loop, s->fd, read_replies, s);
	if (!s->timer || !s->ask || !s->watch)
		return err_say(eb, -ENOMEM, "out of memory");
	loop_fd_set(s->watch, LOOP_READ);
	meter_set_mark(&s->meter, loop_now_ms(s->lab->loop));
	send_probe(s);
	if (a && a->path_argv && s->to >= 0)
		ask_path(s);
	return 0;
}

struct stream *stream_open(
	struct lab *l, const char *from, const char *to, const struct addr *dest, struct errbuf *eb)
{
	struct stream *s = stream_find(l, from, to);
	uint16_t id = 0x5152;

	if (s) {
		s->dest = *dest;
		return s;
	}
	for (const struct stream *other = l->streams; other; other = other->next)
		id++;
	s = calloc(1, sizeof(*s));
	if (!s) {
		err_say(eb, -ENOMEM, "out of memory");
		return NULL;
	}
	*s = (struct stream) { .lab = l,
		.from = scenario_find_node(l->s, from),
		.to = scenario_find_node(l->s, to),
		.to_text = to,
		.dest = *dest,
		.fd = -1,
		.id = id };
	if (start(s, eb)) {
		close_stream(s);
		return NULL;
	}
	struct stream **last = &l->streams;
	while (*last)
		last = &(*last)->next;
	*last = s;
	return s;
}

void stream_close(struct stream *s)
{
	struct stream **at = &s->lab->streams;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	close_stream(s);
}

void streams_close(struct lab *l)
{
	for (struct stream *s = l->streams, *next; s; s = next) {
		next = s->next;
		close_stream(s);
	}
	l->streams = NULL;
}

void streams_mark(struct lab *l)
{
	for (struct stream *s = l->streams; s; s = s->next)
		meter_set_mark(&s->meter, loop_now_ms(l->loop));
}
