#include "simnet/natprobe/natprobe.h"

#include "mesh/base/buf.h"
#include "mesh/os/sock.h"
#include "simnet/natprobe/natprobe_server.h"
#include "simnet/punch/carrier.h"
#include <errno.h>
#include <ifaddrs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* Everything is asked at the same time, each from a socket of its own, and every question is asked again until it
 * is answered or SETTLE_MS have passed, for an answer that does not come is a finding too. Two of them wait for
 * others: a port's question for the one before (their order says how a NAT counts), and the hairpin's for the
 * mapping that it is to reach. */
enum { AGAIN_MS = 100, SETTLE_MS = 1500, LIFE_GRACE_MS = 800 };
enum role { ROLE_MAP, ROLE_FILTER, ROLE_TCP_MAP, ROLE_TCP_FILTER, ROLE_PORT, ROLE_HAIRPIN, ROLE_LIFE };
enum place {
	PLACE_FIRST,
	PLACE_PORT,
	PLACE_HOST,
	PLACES
}; /* of servers: the first, its next port, the other */

struct questioner {
	struct survey *survey;
	enum role role;
	size_t index;
	struct carrier_udp *udp; /* one of them; NULL = not yet */
	struct carrier_tcp *tcp;
	uint64_t life_ms; /* when the answer that is waited for was asked for; 0 = not yet */
};
struct survey {
	struct loop *loop;
	struct loop_timer *again;
	struct endpoint places[PLACES];
	struct addr local;
	uint64_t nonce, start_ms;
	struct questioner single[ROLE_PORT], ports[NATPROBE_PORTS], hairpin, lifes[NATPROBE_LIFES_MAX];
	struct natprobe_facts facts;
};

static void question_answered(void *owner, const struct endpoint *from, const uint8_t *p, size_t len);

static bool open_questioner(struct survey *s, struct questioner *q, enum role role, size_t index)
{
	struct endpoint any = { .ip = addr_v4(0) };
	struct errbuf eb;

	*q = (struct questioner) { .survey = s, .role = role, .index = index };
	if (role == ROLE_TCP_MAP || role == ROLE_TCP_FILTER)
		q->tcp = carrier_tcp_open(s->loop, &any, true, question_answered, q, &eb);
	else
		q->udp = carrier_udp_open(s->loop, &any, question_answered, q, &eb);
	return q->udp || q->tcp;
}

static uint16_t port_of(const struct questioner *q)
{
	return q->udp ? carrier_udp_local(q->udp).port : carrier_tcp_local(q->tcp).port;
}

/* ---- asking ---- */

static void send_question(struct questioner *q, const struct endpoint *to, const struct natprobe_message *m)
{
	uint8_t out[NATPROBE_SIZE];

	natprobe_message_write(m, out);
	if (q->udp)
		carrier_udp_send(q->udp, to, out, sizeof(out));
	else
		carrier_tcp_send(q->tcp, to, out, sizeof(out));
}

static void ask(struct questioner *q, enum place place, unsigned answers, uint32_t delay_ms)
{
	struct natprobe_message m = { .kind = NATPROBE_ASK,
		.answers = answers,
		.nonce = q->survey->nonce + place,
		.delay_ms = delay_ms };
	send_question(q, &q->survey->places[place], &m);
}

static struct natprobe_seen_by *seen_of(struct questioner *q)
{
	bool tcp = q->role == ROLE_TCP_MAP || q->role == ROLE_TCP_FILTER;
	return tcp ? &q->survey->facts.tcp : &q->survey->facts.udp;
}

static struct endpoint *seen_at(struct natprobe_seen_by *seen, enum place place)
{
	return place == PLACE_FIRST  ? &seen->first
	       : place == PLACE_PORT ? &seen->other_port
				     : &seen->other_host;
}

static bool ask_map(struct questioner *q)
{
	bool open = false;

	for (int i = 0; i < PLACES; i++)
		if (!seen_at(seen_of(q), (enum place)i)->port) {
			ask(q, (enum place)i, NATPROBE_SELF, 0);
			open = true;
		}
	return open;
}

static bool ask_filter(struct questioner *q)
{
	if (seen_of(q)->through == NATPROBE_SEEN_ALL)
		return false;
	ask(q, PLACE_FIRST, NATPROBE_SELF | NATPROBE_OTHER_PORT | NATPROBE_OTHER_HOST, 0);
	return true;
}

/* The next one when the one before is answered. */
static bool ask_ports(struct survey *s)
{
	for (size_t i = 0; i < NATPROBE_PORTS; i++) {
		if (s->facts.ports[i].seen)
			continue;
		if (!s->ports[i].udp && !open_questioner(s, &s->ports[i], ROLE_PORT, i))
			return false;
		s->facts.ports[i].local = port_of(&s->ports[i]);
		ask(&s->ports[i], PLACE_FIRST, NATPROBE_SELF, 0);
		return true;
	}
	return false;
}

static bool ask_hairpin(struct survey *s)
{
	struct natprobe_message m = { .kind = NATPROBE_HAIRPIN, .nonce = s->nonce };

	if (s->facts.hairpinned)
		return false;
	if (s->facts.udp.first.port)
		send_question(&s->hairpin, &s->facts.udp.first, &m);
	return true;
}

/* First for an answer at once, so that the mapping is one that was answered; see life_answered. */
static void ask_lifes(struct survey *s)
{
	for (size_t i = 0; i < s->facts.n_lifes; i++)
		if (!s->lifes[i].life_ms)
			ask(&s->lifes[i], PLACE_FIRST, NATPROBE_SELF, 0);
}

/* The first mapping that is gone ends it: those that were silent for longer are gone too. */
static bool waits_for_life(const struct survey *s, uint64_t now_ms)
{
	size_t i = 0;

	while (i < s->facts.n_lifes && s->facts.life_came[i])
		i++;
	if (i == s->facts.n_lifes)
		return false;
	uint64_t asked = s->lifes[i].life_ms;
	return asked ? now_ms < asked + i * 1000 + 500 + LIFE_GRACE_MS : now_ms < s->start_ms + SETTLE_MS;
}

static void ask_again(void *arg)
{
	struct survey *s = arg;
	uint64_t now = loop_now_ms(s->loop);
	bool open = false;

	if (now < s->start_ms + SETTLE_MS) {
		open |= ask_map(&s->single[ROLE_MAP]);
		open |= ask_filter(&s->single[ROLE_FILTER]);
		open |= ask_map(&s->single[ROLE_TCP_MAP]);
		open |= ask_filter(&s->single[ROLE_TCP_FILTER]);
		open |= ask_ports(s);
		open |= ask_hairpin(s);
		ask_lifes(s);
	}
	open |= waits_for_life(s, now);
	if (open)
		loop_timer_set(s->again, AGAIN_MS);
	else
		loop_stop(s->loop);
}

/* ---- answers ---- */

static void map_answered(struct questioner *q, const struct natprobe_message *m)
{
	struct natprobe_seen_by *seen = seen_of(q);

	if (m->answers == NATPROBE_SELF)
		*seen_at(seen, (enum place)(m->nonce - q->survey->nonce)) = m->at;
	if (seen->first.port)
		seen->local = (struct endpoint) { .ip = q->survey->local, .port = port_of(q) };
}

/* Then for one after its time, with the nonce of another place: it is told from late answers by that. */
static void life_answered(struct questioner *q, const struct natprobe_message *m)
{
	struct survey *s = q->survey;

	if (m->nonce == s->nonce + PLACE_PORT) {
		s->facts.life_came[q->index] = true;
	} else if (!q->life_ms) {
		struct natprobe_message later = { .kind = NATPROBE_ASK,
			.answers = NATPROBE_SELF,
			.nonce = s->nonce + PLACE_PORT,
			.delay_ms = (uint32_t)q->index * 1000 + 500 };
		q->life_ms = loop_now_ms(s->loop);
		send_question(q, &s->places[PLACE_FIRST], &later);
	}
}

static void hairpin_arrived(struct survey *s, const struct endpoint *from)
{
	s->facts.hairpinned = true;
	s->facts.hairpin_from = *from;
	s->facts.hairpin_local = (struct endpoint) { .ip = s->local, .port = port_of(&s->hairpin) };
}

static void question_answered(void *owner, const struct endpoint *from, const uint8_t *p, size_t len)
{
	struct questioner *q = owner;
	struct survey *s = q->survey;
	struct natprobe_message m;

	if (!natprobe_message_read(p, len, &m) || m.nonce < s->nonce || m.nonce >= s->nonce + PLACES)
		return;
	if (m.kind == NATPROBE_HAIRPIN && q->role == ROLE_MAP)
		hairpin_arrived(s, from);
	if (m.kind != NATPROBE_ANSWER)
		return;
	switch (q->role) {
	case ROLE_MAP:
	case ROLE_TCP_MAP: map_answered(q, &m); break;
	case ROLE_FILTER:
	case ROLE_TCP_FILTER: seen_of(q)->through |= m.answers & NATPROBE_SEEN_ALL; break;
	case ROLE_PORT:
		if (!s->facts.ports[q->index].seen) {
			s->facts.ports[q->index].seen = m.at.port;
			(void)ask_ports(s);
		}
		break;
	case ROLE_LIFE: life_answered(q, &m); break;
	case ROLE_HAIRPIN: break;
	}
}

/* ---- a client's life ---- */

static int read_servers(struct survey *s, const char *text, struct errbuf *eb)
{
	char first[ENDPOINT_TEXT];
	const char *comma = text ? strchr(text, ',') : NULL;

	snprintf(first, sizeof(first), "%.*s", comma ? (int)(comma - text) : 0, text ? text : "");
	if (!comma || !endpoint_parse(first, &s->places[PLACE_FIRST]) ||
		!endpoint_parse(comma + 1, &s->places[PLACE_HOST]) ||
		s->places[PLACE_FIRST].port == UINT16_MAX ||
		addr_equal(&s->places[PLACE_FIRST].ip, &s->places[PLACE_HOST].ip))
		return err_say(eb, -EINVAL,
			"say which two servers to ask, at two addresses: --servers "
			"192.0.2.1:3478,198.51.100.1:3478");
	s->places[PLACE_PORT] = s->places[PLACE_FIRST];
	s->places[PLACE_PORT].port++;
	return 0;
}

/* The address from which this host speaks to the first server. */
static int find_local(struct survey *s, struct errbuf *eb)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&s->places[PLACE_FIRST], false, &ss);
	struct endpoint at;
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = fd < 0 || connect(fd, (struct sockaddr *)&ss, len) < 0 || sock_local(fd, &at) < 0
			  ? err_set(eb, -errno, "find a way to the first server")
			  : 0;
	if (fd >= 0)
		close(fd);
	if (!err)
		s->local = at.ip;
	return err;
}

static bool has_ipv6(void)
{
	struct ifaddrs *list = NULL;
	bool found = false;

	if (getifaddrs(&list) != 0)
		return false;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct endpoint at;
		found |= i->ifa_addr && i->ifa_addr->sa_family == AF_INET6 &&
			 endpoint_from_sockaddr(i->ifa_addr, &at) && !addr_is_loopback(&at.ip) &&
			 !addr_is_link_local(&at.ip);
	}
	freeifaddrs(list);
	return found;
}

static bool open_survey(struct survey *s, uint64_t lifetime_ms)
{
	s->facts.n_lifes = (size_t)((lifetime_ms + 999) / 1000);
	s->facts.ipv6 = has_ipv6();
	s->start_ms = loop_now_ms(s->loop);
	bool ok = (s->again = loop_timer_new(s->loop, ask_again, s));
	for (int i = 0; i < ROLE_PORT; i++)
		ok = ok && open_questioner(s, &s->single[i], (enum role)i, 0);
	ok = ok && open_questioner(s, &s->hairpin, ROLE_HAIRPIN, 0);
	for (size_t i = 0; i < s->facts.n_lifes; i++)
		ok = ok && open_questioner(s, &s->lifes[i], ROLE_LIFE, i);
	return ok && getrandom(&s->nonce, 7, 0) == 7;
}

static void close_questioner(struct questioner *q)
{
	carrier_udp_close(q->udp);
	carrier_tcp_close(q->tcp);
}

static void close_survey(struct survey *s)
{
	for (size_t i = 0; i < ROLE_PORT; i++)
		close_questioner(&s->single[i]);
	for (size_t i = 0; i < NATPROBE_PORTS; i++)
		close_questioner(&s->ports[i]);
	for (size_t i = 0; i < NATPROBE_LIFES_MAX; i++)
		close_questioner(&s->lifes[i]);
	close_questioner(&s->hairpin);
	loop_timer_free(s->again);
	if (s->loop)
		loop_free(s->loop);
	free(s);
}

static int measure(const struct natprobe_options *o, struct natprobe_report *out, struct errbuf *eb)
{
	struct survey *s = calloc(1, sizeof(*s));

	if (!s)
		return err_say(eb, -ENOMEM, "out of memory");
	int err = read_servers(s, o->servers, eb);
	if (!err && o->lifetime_ms > NATPROBE_LIFES_MAX * 1000)
		err = err_say(eb, -EINVAL, "--lifetime is at most %ds", NATPROBE_LIFES_MAX);
	if (!err)
		err = find_local(s, eb);
	if (!err && (!(s->loop = loop_new()) || !open_survey(s, o->lifetime_ms)))
		err = err_say(eb, -ENOMEM, "the sockets of the probe cannot be opened");
	if (!err) {
		ask_again(s);
		loop_run(s->loop);
		natprobe_judge(&s->facts, out);
		if (!out->udp && !out->tcp)
			err = err_say(eb, -ETIMEDOUT, "the first server answers neither by UDP nor by TCP");
	}
	close_survey(s);
	return err;
}

/* ---- the program ---- */

static void stop_server(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

static int run_server(const struct natprobe_options *o, struct errbuf *eb)
{
	struct endpoint at, other = { 0 };
	char text[ENDPOINT_TEXT];

	if (!endpoint_parse(o->listen, &at) || !at.port || at.port == UINT16_MAX ||
		addr_is_unspecified(&at.ip))
		return err_say(
			eb, -EINVAL, "--server takes this server's ADDRESS:PORT; it uses the next port too");
	if (o->other && !endpoint_parse(o->other, &other))
		return err_say(eb, -EINVAL, "--other takes the ADDRESS:PORT of the other server");
	struct loop *l = loop_new();
	if (!l)
		return err_say(eb, -ENOMEM, "out of memory");
	struct loop_signal *signals[] = { loop_signal_new(l, SIGINT, stop_server, l),
		loop_signal_new(l, SIGTERM, stop_server, l) };
	struct natprobe_server *s = natprobe_server_open(l, &at, &other, eb);
	if (s) {
		printf("{\"event\":\"serving\",\"serving\":\"%s\"}\n", endpoint_format(&at, text));
		fflush(stdout);
		loop_run(l);
		natprobe_server_close(s);
	}
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (signals[i])
			loop_signal_free(signals[i]);
	loop_free(l);
	return s ? 0 : eb->code;
}

int natprobe_run(const struct natprobe_options *o, struct errbuf *eb)
{
	struct natprobe_report r;
	struct buf text = { 0 };

	if (o->listen && o->servers)
		return err_say(eb, -EINVAL, "a server asks nobody: --server or --servers, not both");
	if (o->listen)
		return run_server(o, eb);
	int err = measure(o, &r, eb);
	if (err)
		return err;
	bool ok = o->json ? natprobe_json(&r, &text) : natprobe_stanza(&r, &text);
	if (ok)
		fputs(buf_cstr(&text), stdout);
	buf_free(&text);
	return ok ? 0 : err_say(eb, -ENOMEM, "out of memory");
}
