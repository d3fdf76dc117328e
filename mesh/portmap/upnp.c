#include "mesh/portmap/upnp.h"

#include "mesh/base/err.h"
#include "mesh/base/text.h"
#include "mesh/portmap/messages.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SERVICE "urn:schemas-upnp-org:service:"
enum { TYPE_IP_2, TYPE_IP_1, TYPE_PPP_1 };
static const char *const service_types[] = { [TYPE_IP_2] = SERVICE "WANIPConnection:2",
	[TYPE_IP_1] = SERVICE "WANIPConnection:1",
	[TYPE_PPP_1] = SERVICE "WANPPPConnection:1" };
#define SEARCH(target) \
	"M-SEARCH * HTTP/1.1\r\n" \
	"HOST: 239.255.255.250:1900\r\n" \
	"ST: " target "\r\n" \
	"MAN: \"ssdp:discover\"\r\n" \
	"MX: 1\r\n\r\n"
const char *const upnp_searches[UPNP_SEARCHES] = {
	SEARCH("urn:schemas-upnp-org:device:InternetGatewayDevice:1"), SEARCH("upnp:rootdevice")
};

/* WANIPConnection:1 section 2.5, WANIPConnection:2 section 2.6. */
enum {
	NO_ANSWER = 0,
	OK = 200,
	ERROR_INVALID_ARGS = 402,
	ERROR_NOT_AUTHORIZED = 606,
	ERROR_CONFLICT = 718,
	ERROR_SAME_PORTS = 724,
	ERROR_ONLY_PERMANENT = 725,
	ERROR_OTHER_MECHANISM = 729
};

struct span { /* of somebody's text */
	const char *p;
	size_t len;
};

/* --- places --- */

/* Fit for a request line and a header, and short enough to be one of a router's. */
static bool path_set(struct upnp_url *u, struct span dir, struct span rest)
{
	if (dir.len + rest.len >= sizeof(u->path) || dir.len + rest.len == 0)
		return false;
	memcpy(u->path, dir.p, dir.len);
	memcpy(u->path + dir.len, rest.p, rest.len);
	u->path[dir.len + rest.len] = 0;
	for (const char *c = u->path; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '<' || *c == '>')
			return false;
	return u->path[0] == '/';
}

/* "http://192.168.1.1:5000/x"; another host than the router, by name or address, is none. */
static bool url_read(struct span s, const struct addr *router, struct upnp_url *out)
{
	static const char scheme[] = "http://";
	const size_t n_scheme = sizeof(scheme) - 1;
	struct upnp_url u = { .port = 80 };
	char host[ENDPOINT_TEXT];
	struct endpoint at;

	if (s.len < n_scheme || strncasecmp(s.p, scheme, n_scheme) != 0)
		return false;
	s.p += n_scheme;
	s.len -= n_scheme;
	const char *slash = memchr(s.p, '/', s.len);
	size_t n_host = slash ? (size_t)(slash - s.p) : s.len;
	if (n_host >= sizeof(host))
		return false;
	memcpy(host, s.p, n_host);
	host[n_host] = 0;
	if (strlen(host) != n_host || !endpoint_parse_or(host, u.port, &at) || !at.port ||
		!addr_equal(&at.ip, router))
		return false;
	u.port = at.port;
	struct span path = slash ? (struct span) { slash, s.len - n_host } : (struct span) { "/", 1 };
	if (!path_set(&u, (struct span) { "", 0 }, path))
		return false;
	*out = u;
	return true;
}

/* Relative to where it was said (RFC 3986 section 5.2, without dots: they are passed on). */
static bool place_read(
	struct span s, const struct addr *router, const struct upnp_url *base, struct upnp_url *out)
{
	struct upnp_url u = *base;
	const char *last = strrchr(base->path, '/');
	struct span dir = { base->path, last ? (size_t)(last - base->path) + 1 : 0 };

	if (s.len && s.p[0] == '/')
		dir.len = 0;
	if (s.len > 7 && strncasecmp(s.p, "http://", 7) == 0)
		return url_read(s, router, out);
	if (!s.len || !path_set(&u, dir, s))
		return false;
	*out = u;
	return true;
}

static struct span trim(struct span s)
{
	while (s.len && strchr(" \t\r\n", s.p[0]))
		s.p++, s.len--;
	while (s.len && strchr(" \t\r\n", s.p[s.len - 1]))
		s.len--;
	return s;
}

bool upnp_found_read(const uint8_t *p, size_t len, const struct addr *router, struct upnp_url *out)
{
	static const char name[] = "location:", answer[] = "HTTP/1.";
	const size_t n_name = sizeof(name) - 1;
	struct span rest = { (const char *)p, len };

	if (len < sizeof(answer) - 1 || strncasecmp(rest.p, answer, sizeof(answer) - 1) != 0)
		return false;
	while (rest.len) {
		const char *end = memchr(rest.p, '\n', rest.len);
		struct span line = { rest.p, end ? (size_t)(end - rest.p) : rest.len };
		rest.p += line.len + (end != NULL);
		rest.len -= line.len + (end != NULL);
		if (line.len <= n_name || strncasecmp(line.p, name, n_name) != 0)
			continue;
		struct span value = { line.p + n_name, line.len - n_name };
		return url_read(trim(value), router, out);
	}
	return false;
}

/* --- XML, as much as these messages are: elements in elements, no entity is ever expanded --- */

/* The name of the tag at p, which begins with '<'; without its prefix. */
static struct span tag_name(struct span in)
{
	struct span name = { in.p + 1, 0 };

	while (name.len + 1 < in.len && !strchr(" \t\r\n/>", name.p[name.len])) {
		if (name.p[name.len] == ':') {
			in.len -= name.len + 1;
			in.p += name.len + 1;
			name = (struct span) { in.p + 1, 0 };
			continue;
		}
		name.len++;
	}
	return name;
}

static bool is_named(struct span tag, const char *name)
{
	struct span got = tag_name(tag);
	return got.len == strlen(name) && memcmp(got.p, name, got.len) == 0;
}

/* From *rest, which moves behind it, the content of the next element of that name. */
static bool next_element(struct span *rest, const char *name, struct span *out)
{
	struct span content = { NULL, 0 };

	while (rest->len) {
		const char *lt = memchr(rest->p, '<', rest->len);
		if (!lt)
			return false;
		rest->len -= (size_t)(lt - rest->p);
		rest->p = lt;
		struct span tag = *rest;
		bool ends = tag.len > 1 && tag.p[1] == '/';
		if (ends)
			tag = (struct span) { tag.p + 1, tag.len - 1 };
		const char *gt = memchr(tag.p, '>', tag.len);
		if (!gt)
			return false;
		bool ours = is_named(tag, name);
		if (content.p && ends && ours)
			content.len = (size_t)(lt - content.p);
		rest->len -= (size_t)(gt + 1 - rest->p);
		rest->p = gt + 1;
		if (content.p && ends && ours) {
			*out = trim(content);
			return true;
		}
		if (!content.p && !ends && ours && gt[-1] != '/')
			content.p = gt + 1;
	}
	return false;
}

static bool find_element(struct span in, const char *name, struct span *out)
{
	return next_element(&in, name, out);
}

static const char *known_type(struct span s)
{
	for (size_t i = 0; i < ARRAY_LEN(service_types); i++)
		if (s.len == strlen(service_types[i]) && memcmp(s.p, service_types[i], s.len) == 0)
			return service_types[i];
	return NULL;
}

size_t upnp_description_read(const char *xml, size_t len, const struct addr *router,
	const struct upnp_url *at, struct upnp_service out[static UPNP_SERVICES])
{
	struct span rest = { xml, len < UPNP_BODY_MAX ? len : UPNP_BODY_MAX }, service, type, control, told;
	struct upnp_url base = *at;
	size_t n = 0;

	if (find_element(rest, "URLBase", &told))
		(void)url_read(told, router, &base); /* elsewhere: as if nothing were said */
	while (n < UPNP_SERVICES && next_element(&rest, "service", &service)) {
		struct upnp_service s = { 0 };
		if (!find_element(service, "serviceType", &type) || !(s.type = known_type(type)) ||
			!find_element(service, "controlURL", &control) ||
			!place_read(control, router, &base, &s.control))
			continue;
		out[n++] = s;
	}
	return n;
}

/* --- the talk --- */

void upnp_talk_begin(
	struct upnp_talk *t, const struct addr *self, uint16_t inner, uint16_t outer, uint32_t lease_s)
{
	t->self = *self;
	t->inner = inner;
	t->outer = outer;
	t->lease_s = lease_s;
	t->step = UPNP_ADDRESS;
	t->tried = t->refused = 0;
	t->done = t->any = false;
	t->address = (struct addr) { 0 };
	t->why[0] = 0;
}

static void write_call(
	const struct upnp_service *s, const char *verb, const char *arguments, struct upnp_request *out)
{
	out->to = s->control;
	snprintf(out->action, sizeof(out->action), "\"%s#%s\"", s->type, verb);
	snprintf(out->body, sizeof(out->body),
		"<?xml version=\"1.0\"?>\r\n"
		"<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
		"s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"
		"<u:%s xmlns:u=\"%s\">%s</u:%s></s:Body></s:Envelope>\r\n",
		verb, s->type, arguments, verb);
}

static void write_port_call(const struct upnp_talk *t, const char *verb, uint16_t outer, const char *more,
	struct upnp_request *out)
{
	char arguments[512];

	snprintf(arguments, sizeof(arguments),
		"<NewRemoteHost></NewRemoteHost><NewExternalPort>%u</NewExternalPort>"
		"<NewProtocol>UDP</NewProtocol>%s",
		outer, more);
	write_call(&t->services[t->service], verb, arguments, out);
}

void upnp_talk_request(const struct upnp_talk *t, struct upnp_request *out)
{
	char more[320], self[ADDR_TEXT];

	switch (t->step) {
	case UPNP_ADDRESS: write_call(&t->services[t->service], "GetExternalIPAddress", "", out); break;
	case UPNP_LOOK:
	case UPNP_CONFIRM: write_port_call(t, "GetSpecificPortMappingEntry", t->outer, "", out); break;
	default:
		snprintf(more, sizeof(more),
			"<NewInternalPort>%u</NewInternalPort><NewInternalClient>%s</NewInternalClient>"
			"<NewEnabled>1</NewEnabled><NewPortMappingDescription>ropewalk</"
			"NewPortMappingDescription>"
			"<NewLeaseDuration>%u</NewLeaseDuration>",
			t->inner, addr_format(&t->self, self), t->lease_s);
		write_port_call(
			t, t->step == UPNP_ANY ? "AddAnyPortMapping" : "AddPortMapping", t->outer, more, out);
	}
}

void upnp_talk_delete(const struct upnp_talk *t, uint16_t outer, struct upnp_request *out)
{
	write_port_call(t, "DeletePortMapping", outer, "", out);
}

static bool short_text(struct span s, char *out, size_t cap)
{
	if (s.len >= cap)
		return false;
	memcpy(out, s.p, s.len);
	out[s.len] = 0;
	return strlen(out) == s.len;
}

static bool reply_addr(struct span body, const char *name, struct addr *out)
{
	struct span value;
	char text[ADDR_TEXT];
	struct addr a;

	if (!find_element(body, name, &value) || !short_text(value, text, sizeof(text)) ||
		!addr_parse(text, &a))
		return false;
	*out = a;
	return true;
}

static unsigned reply_error(struct span body, int status)
{
	struct span value;
	char text[16];
	uint64_t code;

	if (status == OK || status == NO_ANSWER)
		return (unsigned)status;
	if (!find_element(body, "errorCode", &value) || !short_text(value, text, sizeof(text)) ||
		!text_u64(text, 1, UINT16_MAX, &code) || code == OK)
		return (unsigned)status;
	return (unsigned)code;
}

static void give_up(struct upnp_talk *t, unsigned code)
{
	t->step = UPNP_OVER;
	if (code == ERROR_NOT_AUTHORIZED)
		snprintf(t->why, sizeof(t->why), "refused by its settings");
	else if (code == NO_ANSWER)
		snprintf(t->why, sizeof(t->why), "no answer to a request");
	else if (code == ERROR_CONFLICT)
		snprintf(t->why, sizeof(t->why), "each port that was asked for is another's");
	else
		snprintf(t->why, sizeof(t->why), "it refuses with error %u", code);
}

/* Another's: an IGD 2 is asked, once, for whichever is nobody's; else one that he is not likely to have, and the same each
 * time. */
static void next_port(struct upnp_talk *t)
{
	if (!t->any && t->services[t->service].type == service_types[TYPE_IP_2]) {
		t->any = true;
		t->step = UPNP_ANY;
		return;
	}
	if (++t->tried == UPNP_TRIES) {
		give_up(t, ERROR_CONFLICT);
		return;
	}
	unsigned seed = t->self.b[14] * 251u + t->self.b[15] * 31u + t->inner + t->tried * 7919u;
	t->outer = (uint16_t)(32768 + seed % 32768);
	t->step = UPNP_LOOK;
}

static void address_answered(struct upnp_talk *t, struct span body, unsigned code)
{
	if (code == OK && reply_addr(body, "NewExternalIPAddress", &t->address)) {
		t->step = router_address_is_public(&t->address) ? UPNP_LOOK : UPNP_OVER;
	} else if (t->service + 1 < t->n_services) {
		t->service++; /* of two connections, one is not in use */
	} else {
		t->service = 0;
		give_up(t, code);
		if (code == OK)
			snprintf(t->why, sizeof(t->why), "it has no address outside");
	}
}

static void add_answered(struct upnp_talk *t, unsigned code)
{
	bool leased = t->lease_s != 0;

	switch (code) {
	case OK:
		t->done = true;
		t->step = UPNP_OVER;
		break;
	case ERROR_CONFLICT:
	case ERROR_OTHER_MECHANISM: next_port(t); break;
	case ERROR_SAME_PORTS:
		if (t->outer == t->inner)
			give_up(t, code);
		t->outer = t->inner;
		break;
	case ERROR_ONLY_PERMANENT:
	case ERROR_INVALID_ARGS: /* what some say for the same */
		if (!leased)
			give_up(t, code);
		t->lease_s = 0;
		break;
	case ERROR_NOT_AUTHORIZED: give_up(t, code); break;
	default: t->refused = code; t->step = UPNP_CONFIRM;
	}
}

static void any_answered(struct upnp_talk *t, struct span body, unsigned code)
{
	struct span value;
	char text[8];
	uint64_t port;

	if (code == OK && find_element(body, "NewReservedPort", &value) &&
		short_text(value, text, sizeof(text)) && text_u64(text, 1, UINT16_MAX, &port)) {
		t->outer = (uint16_t)port;
		t->done = true;
		t->step = UPNP_OVER;
	} else if (code == ERROR_ONLY_PERMANENT && t->lease_s) {
		t->lease_s = 0;
	} else if (code == ERROR_NOT_AUTHORIZED || code == NO_ANSWER) {
		give_up(t, code);
	} else {
		next_port(t); /* it may not know that call */
	}
}

/* Of another host, or of another program here. */
static bool is_anothers(const struct upnp_talk *t, struct span body)
{
	struct addr whose;
	struct span value;
	char port[8];
	uint64_t inner;

	if (!reply_addr(body, "NewInternalClient", &whose))
		return false;
	return !addr_equal(&whose, &t->self) ||
	       (find_element(body, "NewInternalPort", &value) && short_text(value, port, sizeof(port)) &&
		       text_u64(port, 1, UINT16_MAX, &inner) && inner != t->inner);
}

static void confirm_answered(struct upnp_talk *t, struct span body, unsigned code)
{
	struct addr whose;

	t->done = code == OK && reply_addr(body, "NewInternalClient", &whose) && !is_anothers(t, body);
	if (t->done)
		t->step = UPNP_OVER;
	else
		give_up(t, t->refused);
}

void upnp_talk_answered(struct upnp_talk *t, int status, const char *body, size_t len)
{
	struct span text = { body, len < UPNP_BODY_MAX ? len : UPNP_BODY_MAX };
	unsigned code = reply_error(text, status);

	if (t->step == UPNP_ADDRESS)
		address_answered(t, text, code);
	else if (t->step == UPNP_ADD)
		add_answered(t, code);
	else if (t->step == UPNP_ANY)
		any_answered(t, text, code);
	else if (t->step == UPNP_CONFIRM)
		confirm_answered(t, text, code);
	else if (code == OK && is_anothers(t, text))
		next_port(t);
	else if (code == NO_ANSWER)
		give_up(t, code);
	else
		t->step = UPNP_ADD; /* nobody's, ours, or not to be asked for: adding will tell */
}
