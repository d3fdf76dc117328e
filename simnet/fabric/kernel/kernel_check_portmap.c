#include "simnet/fabric/kernel/kernel_probe.h"

#include "mesh/base/wire.h"
#include "simnet/service/faults.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Port mapping of each router that has it, asked for as its hosts ask, in the first of NAT-PMP, PCP and UPnP that it speaks:
 *
 *   granted   a port is mapped to a socket of the inside, a datagram from a stranger outside comes in by it, and it is given
 *             back
 *   refused   where the file says that it refuses
 *
 * A router that answers nobody, or from elsewhere, is not asked, nor one that lets no UDP pass. */
enum { INNER_PORT = 21900, STRANGER_PORT = 21901, ASK_MS = 1000, ASKS = 6, LIFE_S = 600, ANSWER_MAX = 2048 };
enum { PORT = 5351, WEB_PORT = 5000, UDP = 17 };

struct asked {
	struct probe *p;
	int router;
	struct faults f;
	struct endpoint inner;
	int fd; /* of the inside; inner is its address */
	uint8_t b[ANSWER_MAX];
	size_t n;
};

static const struct scn_router *router_of(const struct asked *a)
{
	return &a->p->e->s->routers[a->router];
}

/* ---- NAT-PMP and PCP ---- */

static bool is_datagram(const struct asked *a)
{
	return !a->f.no_pmp || !a->f.no_pcp;
}

/* A mapping of the inner port for so long; 0: it ends. */
static size_t write_request(const struct asked *a, uint32_t life_s, uint8_t *out)
{
	if (!a->f.no_pmp) {
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
	if (!a->f.no_pmp && a->n == 16 && a->b[0] == 0 && a->b[1] == 0x81) {
		*result = (unsigned)be_get(a->b + 2, 2);
		*outer = (uint16_t)be_get(a->b + 10, 2);
		return true;
	}
	if (a->f.no_pmp && a->n == 60 && a->b[0] == 2 && a->b[1] == 0x81) {
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
	const struct endpoint to = { .ip = router_of(a)->lan, .port = PORT };
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

/* A call, and the answer's status; 0: none. */
static unsigned call(struct asked *a, const char *name, const char *arguments)
{
	const struct endpoint to = { .ip = router_of(a)->lan, .port = WEB_PORT },
			      from = { .ip = a->inner.ip };
	const int ms = ASKS * ASK_MS + (int)a->f.slow_ms;
	const char *type = a->f.ppp ? "WANPPPConnection" : "WANIPConnection";
	char body[1024], head[512];
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, false, &ss);
	unsigned status = 0;
	int n_body = snprintf(body, sizeof(body), "<u:%s>%s</u:%s>", name, arguments, name);
	int n_head = snprintf(head, sizeof(head),
		"POST /control HTTP/1.1\r\nHost: router\r\nContent-Length: %d\r\n"
		"SOAPAction: \"urn:schemas-upnp-org:service:%s:1#%s\"\r\n\r\n",
		n_body, type, name);
	int fd = probe_socket(a->router, SOCK_STREAM, &from);

	if (fd < 0)
		return 0;
	(void)!connect(fd, (struct sockaddr *)&ss, len);
	if (say_over(fd, head, (size_t)n_head, ms) && say_over(fd, body, (size_t)n_body, ms)) {
		struct pollfd w = { .fd = fd, .events = POLLIN };
		char line[32] = "";
		ssize_t n = poll(&w, 1, ms) == 1 ? recv(fd, line, sizeof(line) - 1, 0) : -1;
		if (n <= 0 || sscanf(line, "HTTP/1.%*1[01] %3u", &status) != 1)
			status = 0;
	}
	close(fd);
	return status;
}

static bool ask_upnp(struct asked *a, uint32_t life_s, unsigned *result, uint16_t *outer)
{
	char ip[ADDR_TEXT], arguments[512];

	*outer = a->f.other_port ? INNER_PORT + 1 : INNER_PORT;
	snprintf(arguments, sizeof(arguments),
		"<NewExternalPort>%u</NewExternalPort><NewProtocol>UDP</NewProtocol>"
		"<NewInternalPort>%u</NewInternalPort><NewInternalClient>%s</NewInternalClient>"
		"<NewEnabled>1</NewEnabled><NewLeaseDuration>0</NewLeaseDuration>",
		*outer, INNER_PORT, addr_format(&a->inner.ip, ip));
	unsigned status = call(a, life_s ? "AddPortMapping" : "DeletePortMapping", arguments);
	*result = a->f.unconfirmed && life_s && status == 500 ? 0 : status == 200 ? 0 : status;
	return status;
}

/* ---- the verdict ---- */

static bool ask(struct asked *a, uint32_t life_s, unsigned *result, uint16_t *outer)
{
	return is_datagram(a) ? ask_datagram(a, life_s, result, outer) : ask_upnp(a, life_s, result, outer);
}

static bool comes_in(struct asked *a, uint16_t outer)
{
	static const char hello[] = "a stranger";
	const struct scn_router *r = router_of(a);
	const struct endpoint from = { .ip = probe_host(a->p->e->s, r->behind, PROBE_OUT_B),
		.port = STRANGER_PORT },
			      to = { .ip = r->wan, .port = outer };
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

static const char *find_trouble(struct asked *a)
{
	bool refuses = a->f.refuse || (!is_datagram(a) && (a->f.conflict || a->f.status));
	unsigned result = 0;
	uint16_t outer = 0;

	if (!ask(a, LIFE_S, &result, &outer))
		return "nobody answers who asks it for a port";
	if (refuses)
		return result ? NULL : "it gives ports, and its `portmap` says that it refuses";
	if (result)
		return "it refuses to map a port";
	if (!comes_in(a, outer))
		return "a port that it has given leads nowhere";
	return ask(a, 0, &result, &outer) && !result ? NULL : "a port that it has given is not taken back";
}

static bool is_to_be_asked(const struct scn_router *r, struct faults *f)
{
	struct errbuf eb;
	return r->portmap && !r->udp_blocked && !faults_parse(SERVICE_PORTMAP, r->portmap, f, &eb) &&
	       !f->dead && !f->other_source && !(f->no_pmp && f->no_pcp && f->no_upnp);
}

int kernel_check_portmap(struct probe *p, struct errbuf *eb)
{
	int err = 0;

	for (int i = 0; i < (int)p->n_routers && !err; i++) {
		struct asked a = { .p = p,
			.router = i,
			.inner = { .ip = probe_host(p->e->s, i, PROBE_IN), .port = INNER_PORT } };
		if (!is_to_be_asked(&p->e->s->routers[i], &a.f))
			continue;
		err = netns_enter(&p->inside, eb);
		if (!err && (a.fd = probe_socket(i, SOCK_DGRAM, &a.inner)) < 0)
			err = err_set(eb, -errno, "open a probe's socket");
		if (err)
			break;
		const char *trouble = find_trouble(&a);
		close(a.fd);
		err = trouble ? probe_say_wrong(p, i, eb, trouble) : 0;
	}
	netns_return(hosts_home(p->e->hosts));
	return err;
}
