#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/base/wire.h"
#include "mesh/os/crowd.h"
#include "simnet/service/faults.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Port mapping of each router that has it, asked for as its hosts ask, in the first of NAT-PMP, PCP and UPnP that it speaks;
 * with IPv6 its firewall too, which PCP and UPnP open:
 *
 *   granted   a port is mapped to a socket of the inside, or a pinhole opened to it, a datagram from a stranger outside
 *             comes in by it, and it is given back
 *   refused   where the file says that it refuses
 *
 * A router that answers nobody, or from elsewhere, is not asked, nor one that lets no UDP pass. */
enum { INNER_PORT = 21900, STRANGER_PORT = 21901, ASK_MS = 1000, ASKS = 6, LIFE_S = 600, ANSWER_MAX = 2048 };
enum { PORT = 5351, WEB_PORT = 5000, UDP = 17 };

struct asked {
	struct probe *p;
	int router;
	struct faults f;
	bool six;	/* for a pinhole, by IPv6 */
	struct addr at; /* where the router is asked */
	struct endpoint inner;
	int fd;	     /* of the inside; inner is its address */
	unsigned id; /* of the pinhole, where UPnP has opened it */
	uint8_t b[ANSWER_MAX];
	size_t n;
};

static const struct scn_router *router_of(const struct asked *a)
{
	return &a->p->e->s->routers[a->router];
}

/* ---- NAT-PMP and PCP ---- */

static bool speaks_pmp(const struct asked *a)
{
	return !a->six && !a->f.no_pmp;
}

static bool is_datagram(const struct asked *a)
{
	return speaks_pmp(a) || !a->f.no_pcp;
}

/* A mapping of the inner port for so long; 0: it ends. */
static size_t write_request(const struct asked *a, uint32_t life_s, uint8_t *out)
{
	if (speaks_pmp(a)) {
		memset(out, 0, 12);
		out[1] = 1;
		be_put(out + 4, 2, INNER_PORT);
		be_put(out + 6, 2, life_s ? INNER_PORT : 0);
		be_put(out + 8, 4, life_s);
		return 12;
	}
	memset(out, 0, 60);
	out[0] = 2;
	out[1] = 1;
	be_put(out + 4, 4, life_s);
	memcpy(out + 8, a->inner.ip.b, 16);
	memcpy(out + 24, "simnet probe", 12);
	out[36] = UDP;
	be_put(out + 40, 2, INNER_PORT);
	be_put(out + 42, 2, life_s ? INNER_PORT : 0);
	return 60;
}

/* The result code and the outer port of an answer; false: it is none. */
static bool read_answer(const struct asked *a, unsigned *result, uint16_t *outer)
{
	if (speaks_pmp(a) && a->n == 16 && a->b[0] == 0 && a->b[1] == 0x81) {
		*result = (unsigned)be_get(a->b + 2, 2);
		*outer = (uint16_t)be_get(a->b + 10, 2);
		return true;
	}
	if (!speaks_pmp(a) && a->n == 60 && a->b[0] == 2 && a->b[1] == 0x81) {
		*result = a->b[3];
		*outer = (uint16_t)be_get(a->b + 42, 2);
		return true;
	}
	return false;
}

static bool comes(struct asked *a, int ms)
{
	struct pollfd w = { .fd = a->fd, .events = POLLIN };
	ssize_t n = poll(&w, 1, ms) == 1 ? recv(a->fd, a->b, sizeof(a->b), 0) : -1;
	a->n = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void send_from(int fd, const struct endpoint *to, const void *p, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(to, false, &ss);
	(void)!sendto(fd, p, len, 0, (struct sockaddr *)&ss, n);
}

static bool ask_datagram(struct asked *a, uint32_t life_s, unsigned *result, uint16_t *outer)
{
	const struct endpoint to = { .ip = a->at, .port = PORT };
	uint8_t msg[60];
	size_t len = write_request(a, life_s, msg);

	for (int i = 0; i < ASKS; i++) {
		send_from(a->fd, &to, msg, len);
		while (comes(a, ASK_MS + (int)a->f.slow_ms))
			if (read_answer(a, result, outer))
				return true;
	}
	return false;
}

/* ---- UPnP ---- */

static bool say_over(int fd, const char *text, size_t len, int ms)
{
	struct pollfd w = { .fd = fd, .events = POLLOUT };
	return poll(&w, 1, ms) == 1 && send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* All that is said, until the other end has no more. */
static void hear_all(struct asked *a, int fd, int ms)
{
	struct pollfd w = { .fd = fd, .events = POLLIN };
	ssize_t n = 1;

	for (a->n = 0; n > 0 && a->n<sizeof(a->b) - 1; a->n += n> 0 ? (size_t)n : 0)
		n = poll(&w, 1, ms) == 1 ? recv(fd, a->b + a->n, sizeof(a->b) - 1 - a->n, 0) : -1;
	a->b[a->n] = '\0';
}

/* A call, and the answer's status; 0: none. */
static unsigned call(struct asked *a, const char *type, const char *name, const char *arguments)
{
	const struct endpoint to = { .ip = a->at, .port = WEB_PORT }, from = { .ip = a->inner.ip };
	const int ms = ASKS * ASK_MS + (int)a->f.slow_ms;
	char body[1024], head[512];
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	unsigned status = 0;
	int n_body = snprintf(body, sizeof(body), "<u:%s>%s</u:%s>", name, arguments, name);
	int n_head = snprintf(head, sizeof(head),
		"POST /%s HTTP/1.1\r\nHost: router\r\nConnection: close\r\nContent-Length: %d\r\n"
		"SOAPAction: \"urn:schemas-upnp-org:service:%s:1#%s\"\r\n\r\n",
		a->six ? "firewall" : "control", n_body, type, name);
	int fd = probe_socket(a->router, SOCK_STREAM, &from);

	if (fd < 0)
		return 0;
	(void)!connect(fd, (struct sockaddr *)&ss, len);
	if (say_over(fd, head, (size_t)n_head, ms) && say_over(fd, body, (size_t)n_body, ms)) {
		hear_all(a, fd, ms);
		if (sscanf((const char *)a->b, "HTTP/1.%*1[01] %3u", &status) != 1)
			status = 0;
	}
	close(fd);
	return status;
}

static bool ask_port(struct asked *a, uint32_t life_s, unsigned *result, uint16_t *outer)
{
	const char *type = a->f.ppp ? "WANPPPConnection" : "WANIPConnection";
	char ip[ADDR_TEXT], arguments[512];

	*outer = a->f.other_port ? INNER_PORT + 1 : INNER_PORT;
	snprintf(arguments, sizeof(arguments),
		"<NewExternalPort>%u</NewExternalPort><NewProtocol>UDP</NewProtocol>"
		"<NewInternalPort>%u</NewInternalPort><NewInternalClient>%s</NewInternalClient>"
		"<NewEnabled>1</NewEnabled><NewLeaseDuration>0</NewLeaseDuration>",
		*outer, INNER_PORT, addr_format(&a->inner.ip, ip));
	unsigned status = call(a, type, life_s ? "AddPortMapping" : "DeletePortMapping", arguments);
	*result = a->f.unconfirmed && life_s && status == 500 ? 0 : status == 200 ? 0 : status;
	return status;
}

static bool ask_pinhole(struct asked *a, uint32_t life_s, unsigned *result, uint16_t *outer)
{
	static const char type[] = "WANIPv6FirewallControl", opened[] = "<UniqueID>";
	char ip[ADDR_TEXT], arguments[512];

	*outer = INNER_PORT;
	if (life_s)
		snprintf(arguments, sizeof(arguments),
			"<RemoteHost></RemoteHost><RemotePort>0</RemotePort><InternalClient>%s</"
			"InternalClient>"
			"<InternalPort>%u</InternalPort><Protocol>%u</Protocol><LeaseTime>%u</LeaseTime>",
			addr_format(&a->inner.ip, ip), INNER_PORT, UDP, life_s);
	else
		snprintf(arguments, sizeof(arguments), "<UniqueID>%u</UniqueID>", a->id);
	unsigned status = call(a, type, life_s ? "AddPinhole" : "DeletePinhole", arguments);
	const char *id = life_s && status == 200 ? strstr((const char *)a->b, opened) : NULL;
	if (id && sscanf(id + strlen(opened), "%5u", &a->id) != 1)
		a->id = 0;
	*result = status == 200 ? 0 : status;
	return status;
}

/* ---- the verdict ---- */

static bool ask(struct asked *a, uint32_t life_s, unsigned *result, uint16_t *outer)
{
	return is_datagram(a) ? ask_datagram(a, life_s, result, outer)
	       : a->six	      ? ask_pinhole(a, life_s, result, outer)
			      : ask_port(a, life_s, result, outer);
}

static bool comes_in(struct asked *a, uint16_t outer)
{
	static const char hello[] = "a stranger";
	const struct scn_router *r = router_of(a);
	const struct scenario *s = a->p->e->s;
	struct endpoint from = { .ip = probe_host(s, r->behind, PROBE_OUT_B), .port = STRANGER_PORT },
			to = { .ip = r->wan, .port = outer };
	if (a->six) {
		struct addr plain = probe_host(s, a->router, PROBE_IN);
		from.ip = topology_v6(s, r->behind, &from.ip).ip;
		to.ip = topology_v6_from(s, r->behind, a->router, &plain).ip;
	}
	struct errbuf eb;
	int fd = netns_enter(&a->p->outside, &eb) ? -1 : probe_socket(r->behind, SOCK_DGRAM, &from);
	bool in = false;

	for (int i = 0; fd >= 0 && i < ASKS && !in; i++) {
		send_from(fd, &to, hello, sizeof(hello));
		while (!in && comes(a, ASK_MS))
			in = a->n == sizeof(hello) && !memcmp(a->b, hello, sizeof(hello));
	}
	if (fd >= 0)
		close(fd);
	(void)netns_enter(&a->p->inside, &eb);
	return in;
}

/* What is wrong with its ports, or with its pinholes. */
static const struct sentences {
	const char *silent, *gives, *refuses, *nowhere, *kept;
} sentences[] = {
	{ "nobody answers who asks it for a port", "it gives ports, and its `portmap` says that it refuses",
		"it refuses to map a port", "a port that it has given leads nowhere",
		"a port that it has given is not taken back" },
	{ "nobody answers who asks it to open its IPv6 firewall",
		"it opens its IPv6 firewall, and its `portmap` says that it refuses",
		"it refuses to open its IPv6 firewall",
		"its IPv6 firewall does not let in what it was opened for",
		"its IPv6 firewall is not closed again" },
};

static const char *find_trouble(struct asked *a)
{
	const struct sentences *say = &sentences[a->six];
	bool refuses = a->f.refuse || (!is_datagram(a) && (a->f.status || (!a->six && a->f.conflict)));
	unsigned result = 0;
	uint16_t outer = 0;

	if (!ask(a, LIFE_S, &result, &outer))
		return say->silent;
	if (refuses)
		return result ? NULL : say->gives;
	if (result)
		return say->refuses;
	if (!comes_in(a, outer))
		return say->nowhere;
	return ask(a, 0, &result, &outer) && !result ? NULL : say->kept;
}

static bool is_to_be_asked(const struct scn_router *r, struct faults *f)
{
	struct errbuf eb;
	return r->portmap && !r->udp_blocked && !faults_parse(SERVICE_PORTMAP, r->portmap, f, &eb) &&
	       !f->dead && !f->other_source && !(f->no_pmp && f->no_pcp && f->no_upnp);
}

/* Only an IGD 2 has pinholes. */
static bool has_pinholes(const struct asked *a)
{
	bool igd2 = !a->f.no_upnp && !a->f.v1 && !a->f.ppp;
	return topology_has_v6(a->p->e->s, a->router) && (!a->f.no_pcp || igd2);
}

/* Here nothing is stretched: who is asked often enough by the clock may not have had a processor. */
static void doubt_silence(struct probe *p)
{
	struct pace now = { .slow = crowd_now(), .n = 1 };
	probe_gave_up(p, &now);
}

static int check_one(struct asked *a, struct errbuf *eb)
{
	const struct scenario *s = a->p->e->s;
	const struct scn_router *r = router_of(a);
	struct addr inner = probe_host(s, a->router, PROBE_IN);

	a->at = a->six ? topology_v6(s, a->router, &r->lan).ip : r->lan;
	a->inner = (struct endpoint) { .ip = a->six ? topology_v6(s, a->router, &inner).ip : inner,
		.port = INNER_PORT };
	int err = netns_enter(&a->p->inside, eb);
	if (!err && (a->fd = probe_socket(a->router, SOCK_DGRAM, &a->inner)) < 0)
		err = err_set(eb, -errno, "open a probe's socket");
	if (err)
		return err;
	const char *trouble = find_trouble(a);
	close(a->fd);
	if (trouble == sentences[a->six].silent || trouble == sentences[a->six].nowhere)
		doubt_silence(a->p);
	return trouble ? probe_say_wrong(a->p, a->router, eb, trouble) : 0;
}

int kernel_check_portmap(struct probe *p, struct errbuf *eb)
{
	int err = 0;

	for (int i = 0; i < (int)p->n_routers && !err; i++) {
		struct asked a = { .p = p, .router = i };
		if (!is_to_be_asked(&p->e->s->routers[i], &a.f))
			continue;
		if (topology_has_v4(p->e->s, i))
			err = check_one(&a, eb);
		a.six = true;
		if (!err && has_pinholes(&a))
			err = check_one(&a, eb);
	}
	netns_return(hosts_home(p->e->hosts));
	return err;
}
