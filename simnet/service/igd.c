#include "simnet/service/igd.h"

#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { UDP = 17, TCP = 6, ARGUMENT_MAX = 128, ANY_TRIES = 64 };
/* UPnP Device Architecture 1.1 section 3.2.2, WANIPConnection:2 section 2.6. */
enum {
	DONE = 0,
	INVALID_ACTION = 401,
	INVALID_ARGS = 402,
	ACTION_FAILED = 501,
	NOT_AUTHORIZED = 606,
	NO_SUCH_ENTRY = 714,
	CONFLICT = 718,
	ONLY_PERMANENT = 725,
	NO_PORT_MAPS = 728
};
/* WANIPv6FirewallControl:1 section 2.5. */
enum {
	NO_PINHOLES = 701,
	PINHOLES_REFUSED = 703,
	NO_SUCH_PINHOLE = 704,
	OTHER_PROTOCOL = 705,
	ANY_PORT = 706,
	ANY_PROTOCOL = 707,
	ANY_CLIENT = 708,
	PINHOLE_PORT_MIN = 1024, /* of who is not authorized otherwise */
	PINHOLE_LIFE_MAX_S = 86400
};
#define DEVICE "urn:schemas-upnp-org:device:InternetGatewayDevice:"
#define SERVICE "urn:schemas-upnp-org:service:"

static char version_of(const struct faults *f)
{
	return f->v1 || f->ppp ? '1' : '2';
}

static void service_type(const struct faults *f, char *out, size_t cap)
{
	snprintf(out, cap, SERVICE "%s:%c", f->ppp ? "WANPPPConnection" : "WANIPConnection", version_of(f));
}

#define FIREWALL SERVICE "WANIPv6FirewallControl:1"

/* ---- search ---- */

/* The value of a field of a datagram's head; false: not there, or too long. */
static bool field_of(const uint8_t *msg, size_t len, const char *name, char *out, size_t cap)
{
	const char *at = (const char *)msg, *end = at + len;
	size_t n_name = strlen(name);

	while (at < end) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((nl ? nl : end) - at);
		if (n > n_name && at[n_name] == ':' && !strncasecmp(at, name, n_name)) {
			const char *value = at + n_name + 1;
			n -= n_name + 1;
			while (n && (*value == ' ' || *value == '\t'))
				value++, n--;
			while (n && (value[n - 1] == '\r' || value[n - 1] == ' '))
				n--;
			if (n >= cap || memchr(value, 0, n))
				return false;
			memcpy(out, value, n);
			out[n] = '\0';
			return true;
		}
		at = nl ? nl + 1 : end;
	}
	return false;
}

static bool is_ours(const struct faults *f, const char *target)
{
	static const char *const plain[] = { "upnp:rootdevice", "ssdp:all" };
	char connection[80];

	if (!strcmp(target, plain[0]) || (!f->root_only && !strcmp(target, plain[1])))
		return true;
	if (f->root_only)
		return false;
	service_type(f, connection, sizeof(connection));
	if (version_of(f) == '2' && !strcmp(target, FIREWALL))
		return true;
	if (!strcmp(target, DEVICE "1") || (version_of(f) == '2' && !strcmp(target, DEVICE "2")))
		return true;
	size_t n = strlen(connection) - 1; /* what speaks 2 speaks 1 */
	return !strncmp(target, connection, n) && (target[n] == '1' || target[n] == version_of(f)) &&
	       !target[n + 1];
}

size_t igd_search(const struct faults *f, const struct addr *own, const uint8_t *msg, size_t len,
	char out[static IGD_ANSWERS_MAX][IGD_ANSWER_MAX])
{
	static const char head[] = "M-SEARCH * HTTP/1.";
	char target[80], man[32], text[ADDR_TEXT];
	const char *open = addr_is_v4(own) ? "" : "[", *close = addr_is_v4(own) ? "" : "]";
	size_t n = 0;

	if (f->dead || f->no_upnp || len < sizeof(head) || memcmp(msg, head, sizeof(head) - 1) != 0 ||
		!field_of(msg, len, "MAN", man, sizeof(man)) || strcmp(man, "\"ssdp:discover\"") != 0 ||
		!field_of(msg, len, "ST", target, sizeof(target)) || !is_ours(f, target))
		return 0;
	for (int i = f->roots ? 0 : 1; i < IGD_ANSWERS_MAX; i++)
		snprintf(out[n++], IGD_ANSWER_MAX,
			"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: %s\r\nEXT:\r\n"
			"USN: uuid:00000000-0000-0000-0000-00000000000%d::%s\r\nSERVER: simnet UPnP/1.1\r\n"
			"LOCATION: http://%s%s%s:%d/%s.xml\r\n\r\n",
			target, i, target, open, addr_format(own, text), close, IGD_WEB_PORT,
			i ? "root" : "other");
	return n;
}

/* ---- descriptions ---- */

static void describe(const struct faults *f, const struct addr *own, struct igd_reply *out)
{
	static const char firewall[] =
		"<service><serviceType>" FIREWALL "</serviceType>"
		"<serviceId>urn:upnp-org:serviceId:WANIPv6Firewall1</serviceId><SCPDURL>/firewall.xml</"
		"SCPDURL>"
		"<controlURL>/firewall</controlURL><eventSubURL></eventSubURL></service>";
	char type[80], host[ADDR_TEXT + 16] = "", text[ADDR_TEXT], v = version_of(f);

	service_type(f, type, sizeof(type));
	if (f->dead_control)
		snprintf(host, sizeof(host), "http://%s:%d", addr_format(own, text), IGD_NOBODY_PORT);
	out->status = 200;
	snprintf(out->body, sizeof(out->body),
		"<?xml version=\"1.0\"?>\r\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\">"
		"<specVersion><major>1</major><minor>1</minor></specVersion>"
		"<device><deviceType>" DEVICE "%c</deviceType><friendlyName>router</friendlyName>"
		"<manufacturer>simnet</manufacturer><modelName>simnet</modelName>"
		"<UDN>uuid:00000000-0000-0000-0000-000000000001</UDN><deviceList>"
		"<device><deviceType>urn:schemas-upnp-org:device:WANDevice:%c</deviceType>"
		"<friendlyName>WAN</friendlyName>"
		"<UDN>uuid:00000000-0000-0000-0000-000000000002</UDN><deviceList>"
		"<device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:%c</deviceType>"
		"<friendlyName>connection</friendlyName>"
		"<UDN>uuid:00000000-0000-0000-0000-000000000003</UDN><serviceList><service>"
		"<serviceType>%s</serviceType><serviceId>urn:upnp-org:serviceId:WANConn1</serviceId>"
		"<SCPDURL>/connection.xml</SCPDURL><controlURL>%s/control</controlURL>"
		"<eventSubURL></eventSubURL></service>%s</serviceList></device></deviceList></device>"
		"</deviceList></device></root>\r\n",
		v, v, v, type, host, v == '2' ? firewall : "");
}

static void describe_other(struct igd_reply *out)
{
	out->status = 200;
	snprintf(out->body, sizeof(out->body),
		"<?xml version=\"1.0\"?>\r\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>"
		"<deviceType>urn:schemas-wifialliance-org:device:WFADevice:1</"
		"deviceType><serviceList><service>"
		"<serviceType>urn:schemas-wifialliance-org:service:WFAWLANConfig:1</serviceType>"
		"<controlURL>/other</controlURL></service></serviceList></device></root>\r\n");
}

/* ---- calls ---- */

struct call {
	struct portmap *p;
	uint64_t now_ms;
	const struct faults *f;
	const struct endpoint *from;
	const char *body;
	size_t len;
	bool changed;
	char out[1024]; /* arguments of the answer */
};

/* The text of the first element of that name; false: not there, or too long. */
static bool argument(const struct call *c, const char *name, char *out, size_t cap)
{
	const char *at = c->body, *end = c->body + c->len;
	size_t n_name = strlen(name);

	while (at < end && (at = memchr(at, '<', (size_t)(end - at)))) {
		at++;
		if ((size_t)(end - at) <= n_name || memcmp(at, name, n_name) != 0 ||
			(at[n_name] != '>' && at[n_name] != ' '))
			continue;
		const char *value = memchr(at, '>', (size_t)(end - at));
		const char *stop = value ? memchr(value, '<', (size_t)(end - value)) : NULL;
		size_t n = stop ? (size_t)(stop - value - 1) : 0;
		if (!stop || n >= cap || memchr(value, 0, n))
			return false;
		memcpy(out, value + 1, n);
		out[n] = '\0';
		return true;
	}
	return false;
}

static bool number(const struct call *c, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
	char text[ARGUMENT_MAX];
	return argument(c, name, text, sizeof(text)) && text_u64(text, min, max, out);
}

static bool protocol(const struct call *c, uint8_t *out)
{
	char text[8];

	if (!argument(c, "NewProtocol", text, sizeof(text)))
		return false;
	*out = !strcmp(text, "UDP") ? UDP : !strcmp(text, "TCP") ? TCP : 0;
	return *out;
}

static unsigned call_address(struct call *c)
{
	char text[ADDR_TEXT] = "";

	if (!c->f->no_outer)
		addr_format(c->f->claims && addr_is_v4(&c->f->outer) ? &c->f->outer : &c->p->outer, text);
	snprintf(c->out, sizeof(c->out), "<NewExternalIPAddress>%s</NewExternalIPAddress>", text);
	return DONE;
}

static unsigned call_status(struct call *c)
{
	snprintf(c->out, sizeof(c->out),
		"<NewConnectionStatus>Connected</NewConnectionStatus><NewLastConnectionError>ERROR_NONE"
		"</NewLastConnectionError><NewUptime>%llu</NewUptime>",
		(unsigned long long)((c->now_ms - c->p->began_ms) / 1000));
	return DONE;
}

static unsigned call_look(struct call *c)
{
	uint8_t proto;
	uint64_t outer;
	char inner[ADDR_TEXT];

	if (!protocol(c, &proto) || !number(c, "NewExternalPort", 0, UINT16_MAX, &outer))
		return INVALID_ARGS;
	const struct portmap_entry *e = portmap_at(c->p, proto, (uint16_t)outer);
	if (!e)
		return NO_SUCH_ENTRY;
	snprintf(c->out, sizeof(c->out),
		"<NewInternalPort>%u</NewInternalPort><NewInternalClient>%s</NewInternalClient><NewEnabled>1"
		"</NewEnabled><NewPortMappingDescription></NewPortMappingDescription><NewLeaseDuration>%llu"
		"</NewLeaseDuration>",
		e->inner.port, addr_format(&e->inner.ip, inner),
		e->expires_ms == UINT64_MAX ? 0ull
					    : (unsigned long long)((e->expires_ms - c->now_ms) / 1000));
	return DONE;
}

struct wanted {
	uint8_t proto;
	uint64_t outer, life_s;
	struct endpoint inner;
};

static unsigned read_wanted(const struct call *c, struct wanted *w)
{
	uint64_t inner;
	char client[ADDR_TEXT];

	if (!protocol(c, &w->proto) || !number(c, "NewExternalPort", 0, UINT16_MAX, &w->outer) ||
		!number(c, "NewInternalPort", 1, UINT16_MAX, &inner) ||
		!number(c, "NewLeaseDuration", 0, 604800, &w->life_s) ||
		!argument(c, "NewInternalClient", client, sizeof(client)) ||
		!addr_parse(client, &w->inner.ip) || !addr_is_v4(&w->inner.ip))
		return INVALID_ARGS;
	w->inner.port = (uint16_t)inner;
	if (c->f->refuse || !addr_equal(&w->inner.ip, &c->from->ip))
		return NOT_AUTHORIZED; /* a host maps to itself alone */
	return c->f->permanent && w->life_s ? ONLY_PERMANENT : DONE;
}

static unsigned call_add(struct call *c)
{
	struct wanted w = { 0 };
	unsigned code = read_wanted(c, &w);

	if (code || !w.outer)
		return code ? code : INVALID_ARGS;
	const struct portmap_entry *e = portmap_at(c->p, w.proto, (uint16_t)w.outer);
	if (c->f->conflict || (c->f->other_port && w.outer == w.inner.port) ||
		(e && !addr_equal(&e->inner.ip, &w.inner.ip)) ||
		portmap_is_taken(c->p, w.proto, (uint16_t)w.outer))
		return CONFLICT;
	if (!portmap_put(c->p, c->now_ms, w.proto, (uint16_t)w.outer, &w.inner, w.life_s))
		return ACTION_FAILED;
	c->changed = true;
	return c->f->unconfirmed ? ACTION_FAILED : DONE;
}

/* Of IGD 2: another port where the one is another's. */
static unsigned call_add_any(struct call *c)
{
	struct wanted w = { 0 };
	unsigned code = version_of(c->f) == '1' ? INVALID_ACTION : read_wanted(c, &w);

	if (code)
		return code;
	uint16_t outer = w.outer && !c->f->other_port ? (uint16_t)w.outer : 20000;
	for (int i = 0; i < ANY_TRIES; i++, outer = (uint16_t)(19999 + i)) {
		const struct portmap_entry *e = portmap_at(c->p, w.proto, outer);
		if ((e && !endpoint_equal(&e->inner, &w.inner)) || portmap_is_taken(c->p, w.proto, outer))
			continue;
		if (!portmap_put(c->p, c->now_ms, w.proto, outer, &w.inner, w.life_s))
			return NO_PORT_MAPS;
		c->changed = true;
		snprintf(c->out, sizeof(c->out), "<NewReservedPort>%u</NewReservedPort>", outer);
		return c->f->unconfirmed ? ACTION_FAILED : DONE;
	}
	return NO_PORT_MAPS;
}

static unsigned call_delete(struct call *c)
{
	uint8_t proto;
	uint64_t outer;

	if (!protocol(c, &proto) || !number(c, "NewExternalPort", 1, UINT16_MAX, &outer))
		return INVALID_ARGS;
	struct portmap_entry *e = portmap_at(c->p, proto, (uint16_t)outer);
	if (!e)
		return NO_SUCH_ENTRY;
	if (!addr_equal(&e->inner.ip, &c->from->ip))
		return NOT_AUTHORIZED;
	portmap_remove(c->p, e);
	c->changed = true;
	return DONE;
}

/* ---- pinholes in the IPv6 firewall: a host opens one to itself alone, which is who asks, by IPv6, above the well-known ports;
 * miniupnpd answers with these codes too (docs/protocol.md) ---- */

static unsigned call_firewall(struct call *c)
{
	snprintf(c->out, sizeof(c->out),
		"<FirewallEnabled>1</FirewallEnabled><InboundPinholeAllowed>%d</InboundPinholeAllowed>",
		!c->f->refuse);
	return DONE;
}

struct pinhole {
	uint8_t proto;
	struct endpoint inner, peer;
	uint64_t life_s;
};

/* "" and "*" are anybody; a name of a host is nobody here. */
static bool read_peer(const struct call *c, struct addr *out)
{
	char text[ARGUMENT_MAX];

	return argument(c, "RemoteHost", text, sizeof(text)) &&
	       (!*text || !strcmp(text, "*") || (addr_parse(text, out) && !addr_is_v4(out)));
}

static unsigned read_pinhole(const struct call *c, struct pinhole *h)
{
	char client[ARGUMENT_MAX];
	uint64_t proto, inner, peer;

	if (!number(c, "Protocol", 0, UINT16_MAX, &proto) ||
		!number(c, "InternalPort", 0, UINT16_MAX, &inner) ||
		!number(c, "RemotePort", 0, UINT16_MAX, &peer) || !read_peer(c, &h->peer.ip) ||
		!number(c, "LeaseTime", 1, PINHOLE_LIFE_MAX_S, &h->life_s) ||
		!argument(c, "InternalClient", client, sizeof(client)))
		return INVALID_ARGS;
	if (!inner)
		return ANY_PORT;
	if (!*client || !strcmp(client, "*"))
		return ANY_CLIENT;
	if (proto != UDP && proto != TCP)
		return proto == UINT16_MAX ? ANY_PROTOCOL : OTHER_PROTOCOL;
	h->proto = (uint8_t)proto;
	h->inner.port = (uint16_t)inner;
	h->peer.port = (uint16_t)peer;
	if (!addr_parse(client, &h->inner.ip) || addr_is_v4(&h->inner.ip))
		return INVALID_ARGS;
	bool own = addr_equal(&h->inner.ip, &c->from->ip) && inner >= PINHOLE_PORT_MIN;
	return own ? DONE : NOT_AUTHORIZED;
}

static unsigned call_open(struct call *c)
{
	struct pinhole h = { 0 };
	unsigned code = c->f->refuse ? PINHOLES_REFUSED : read_pinhole(c, &h);

	if (code)
		return code;
	const struct portmap_entry *e = portmap_open(c->p, c->now_ms, h.proto, &h.inner, &h.peer, h.life_s);
	if (!e)
		return NO_PINHOLES;
	c->changed = true;
	snprintf(c->out, sizeof(c->out), "<UniqueID>%u</UniqueID>", e->id);
	return DONE;
}

/* The caller's own pinhole. */
static unsigned find_pinhole(const struct call *c, struct portmap_entry **out)
{
	uint64_t id;

	if (!number(c, "UniqueID", 0, UINT16_MAX, &id))
		return INVALID_ARGS;
	*out = portmap_pinhole(c->p, (uint16_t)id);
	if (!*out)
		return NO_SUCH_PINHOLE;
	return addr_equal(&(*out)->inner.ip, &c->from->ip) ? DONE : NOT_AUTHORIZED;
}

static unsigned call_extend(struct call *c)
{
	struct portmap_entry *e = NULL;
	uint64_t life_s;
	unsigned code = find_pinhole(c, &e);

	if (code || !number(c, "NewLeaseTime", 1, PINHOLE_LIFE_MAX_S, &life_s))
		return code ? code : INVALID_ARGS;
	e->expires_ms = c->now_ms + life_s * 1000;
	return DONE;
}

static unsigned call_close(struct call *c)
{
	struct portmap_entry *e = NULL;
	unsigned code = find_pinhole(c, &e);

	if (code)
		return code;
	portmap_remove(c->p, e);
	c->changed = true;
	return DONE;
}

static const struct {
	const char *name;
	unsigned (*run)(struct call *c);
	bool firewall; /* of that service */
} calls[] = {
	{ "GetExternalIPAddress", call_address, false },
	{ "GetStatusInfo", call_status, false },
	{ "GetSpecificPortMappingEntry", call_look, false },
	{ "AddPortMapping", call_add, false },
	{ "AddAnyPortMapping", call_add_any, false },
	{ "DeletePortMapping", call_delete, false },
	{ "GetFirewallStatus", call_firewall, true },
	{ "AddPinhole", call_open, true },
	{ "UpdatePinhole", call_extend, true },
	{ "DeletePinhole", call_close, true },
};

#define ENVELOPE \
	"<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" " \
	"s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"

static void write_fault(unsigned code, struct igd_reply *out)
{
	out->status = 500;
	snprintf(out->body, sizeof(out->body),
		ENVELOPE
		"<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
		"<UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>%u</errorCode>"
		"<errorDescription>no</errorDescription></UPnPError></detail></s:Fault></s:Body>"
		"</s:Envelope>\r\n",
		code);
}

static bool control_type(const struct faults *f, bool firewall, char *out, size_t cap)
{
	if (firewall)
		snprintf(out, cap, FIREWALL);
	else
		service_type(f, out, cap);
	return !firewall || version_of(f) == '2';
}

/* "TYPE#NAME", in quotes or not; the name is one of the service's, and the type its own, of either version. */
static int call_of(const struct faults *f, bool firewall, const char *action)
{
	char type[80];

	if (!control_type(f, firewall, type, sizeof(type)))
		return -1;
	action += *action == '"';
	size_t n = strlen(type) - 1;
	if (strncmp(action, type, n) != 0 || (action[n] != '1' && action[n] != type[n]) ||
		action[n + 1] != '#')
		return -1;
	action += n + 2;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		size_t len = strlen(calls[i].name);
		if (calls[i].firewall == firewall && !strncmp(action, calls[i].name, len) &&
			(!action[len] || !strcmp(action + len, "\"")))
			return (int)i;
	}
	return -1;
}

static void run_call(struct call *c, bool firewall, const char *action, struct igd_reply *out)
{
	char type[80];
	int i = call_of(c->f, firewall, action);
	unsigned code = i < 0 ? INVALID_ACTION : calls[i].run(c);

	if (code) {
		write_fault(code, out);
		return;
	}
	(void)control_type(c->f, firewall, type, sizeof(type));
	out->status = 200;
	snprintf(out->body, sizeof(out->body),
		ENVELOPE "<u:%sResponse xmlns:u=\"%s\">%s</u:%sResponse></s:Body></s:Envelope>\r\n",
		calls[i].name, type, c->out, calls[i].name);
}

void igd_answer(struct portmap *p, uint64_t now_ms, const struct faults *f, const struct endpoint *from,
	const struct addr *own, const struct igd_request *rq, struct igd_reply *out, bool *changed)
{
	struct call c = {
		.p = p, .now_ms = now_ms, .f = f, .from = from, .body = rq->body, .len = rq->body_len
	};
	bool get = !strcmp(rq->method, "GET"), post = !strcmp(rq->method, "POST"),
	     firewall = !strcmp(rq->target, "/firewall");

	*out = (struct igd_reply) { .status = 404 };
	*changed = false;
	if (f->no_upnp)
		return;
	if (get && !strcmp(rq->target, "/root.xml"))
		describe(f, own, out);
	else if (get && !strcmp(rq->target, "/other.xml"))
		describe_other(out);
	else if (post && (firewall || !strcmp(rq->target, "/control")) && f->status)
		out->status = f->status;
	else if (post && (firewall || !strcmp(rq->target, "/control")))
		run_call(&c, firewall, rq->action, out);
	*changed = c.changed;
}
