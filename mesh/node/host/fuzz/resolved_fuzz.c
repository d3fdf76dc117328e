/* A systemd-resolved that says whatever it likes, in whatever order: os_dns_resolved.c on a scripted bus, which stands in the
 * place of bus.c and holds what is called against the contract of sd-bus: messages and slots are given back once, containers
 * are closed as they were opened, and nobody is called who has given his slot back. An input is a row of steps of two bytes, what
 * and how, with texts and lists behind some of them. What it is told is what was set; an answer to what is out of date is never
 * seen; and it is told or has refused, with a reason. With memory short at one place or another. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/base/wire.h"
#include "mesh/node/host/bus.h"
#include "mesh/node/host/os_dns_resolved.h"
#include "mesh/os/fuzz/awake.h"
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEPS_MAX = 120, SLOTS_MAX = 2048, TEXT_CAP = 128, TEXTS = 4, LATER_MS = 11000, LINES_MAX = 8 };
enum slot_kind { SLOT_NONE, SLOT_OWNER, SLOT_PROPERTIES, SLOT_CALL, SLOT_GET, SLOT_FLOATING };

void *__real_calloc(size_t n, size_t size);

struct sd_bus_slot {
	enum slot_kind kind;
	bool answered, given_back;
	sd_bus_message_handler_t done;
	void *arg;
};
struct line { /* of the property DNS */
	int32_t ifindex, family;
	uint8_t address[20];
	size_t len;
};
/* Ours, on its way out, or one that came: an answer, an error, a signal. */
struct sd_bus_message {
	bool out;
	char method[32];
	int depth;
	/* out: what SetLinkDNS and SetLinkDomains say */
	int ifindex;
	size_t address_len, n_domains;
	/* in */
	sd_bus_error error; /* name NULL and is_error: without one */
	bool is_error;
	const char *text[3];
	const struct line *lines;
	size_t n_lines, at;
	unsigned fails; /* the so manyeth read; 0: none */
	bool failed;
};
struct bus {
	void (*lost)(void *arg);
	void *arg;
};
static struct {
	struct awake awake;
	struct os_dns_resolved *d;
	struct bus *bus; /* NULL: not open */
	struct sd_bus_slot slot[SLOTS_MAX];
	size_t n_slots;
	unsigned messages;  /* that are there */
	unsigned fails;	    /* the so manyeth call of the bus from now; 0: none */
	bool absent, again; /* there is no bus; who is told that it changed sets it again */
	bool setting;
	unsigned told;		   /* how often it was told of a nameserver */
	struct os_dns_config want; /* what was set last */
	char text[TEXTS][TEXT_CAP];
	const char *search[2], *match[2];
} w;

/* ---- the bus ---- */

static int bus_fails(void)
{
	return w.fails && --w.fails == 0 ? -ECONNRESET : 0;
}

static void *library_memory(size_t n)
{
	void *p = __real_calloc(1, n);
	must(p);
	return p;
}

static sd_bus_slot *slot_new(enum slot_kind kind, sd_bus_message_handler_t done, void *arg)
{
	must(w.bus && w.n_slots < SLOTS_MAX && done);
	struct sd_bus_slot *s = &w.slot[w.n_slots++];
	*s = (struct sd_bus_slot) { .kind = kind, .done = done, .arg = arg };
	return s;
}

static sd_bus_slot *scripted_slot_unref(sd_bus_slot *s)
{
	must(!s || (!s->given_back && s->kind != SLOT_FLOATING));
	if (s)
		s->given_back = true;
	return NULL;
}

static int scripted_add_match(sd_bus *b, sd_bus_slot **slot, const char *match, sd_bus_message_handler_t come,
	sd_bus_message_handler_t installed, void *arg)
{
	int err = bus_fails();
	must(b && strstr(match, "NameOwnerChanged") && !installed);
	if (!err)
		*slot = slot_new(SLOT_OWNER, come, arg);
	return err;
}

static int scripted_match_signal(sd_bus *b, sd_bus_slot **slot, const char *sender, const char *path,
	const char *interface, const char *member, sd_bus_message_handler_t come,
	sd_bus_message_handler_t installed, void *arg)
{
	int err = bus_fails();
	must(b && sender && path && interface && strcmp(member, "PropertiesChanged") == 0 && !installed);
	if (!err)
		*slot = slot_new(SLOT_PROPERTIES, come, arg);
	return err;
}

static int scripted_call(sd_bus *b, sd_bus_slot **slot, sd_bus_message *m, sd_bus_message_handler_t done,
	void *arg, uint64_t usec)
{
	int err = bus_fails();
	must(b && m && m->out && m->depth == 0 && slot && !usec);
	if (err)
		return err;
	if (strcmp(m->method, "SetLinkDNS") == 0) {
		must(m->ifindex == (int)if_nametoindex("lo"));
		must(m->address_len > 0);
		w.told++;
	}
	*slot = slot_new(SLOT_CALL, done, arg);
	return 1;
}

static int scripted_call_method(sd_bus *b, sd_bus_slot **slot, const char *destination, const char *path,
	const char *interface, const char *member, sd_bus_message_handler_t done, void *arg,
	const char *types, ...)
{
	int err = bus_fails();
	must(b && destination && path && interface && member && types);
	if (err)
		return err;
	sd_bus_slot *s = slot_new(!slot			       ? SLOT_FLOATING
				  : strcmp(member, "Get") == 0 ? SLOT_GET
							       : SLOT_CALL,
		done, arg);
	if (slot)
		*slot = s;
	return 1;
}

static int scripted_new_call(sd_bus *b, sd_bus_message **m, const char *destination, const char *path,
	const char *interface, const char *member)
{
	int err = bus_fails();
	must(b && destination && path && interface && member);
	if (err)
		return err;
	*m = library_memory(sizeof(**m));
	(*m)->out = true;
	snprintf((*m)->method, sizeof((*m)->method), "%s", member);
	w.messages++;
	return 0;
}

static sd_bus_message *scripted_unref(sd_bus_message *m)
{
	must(!m || (m->out && w.messages));
	w.messages -= m != NULL;
	free(m);
	return NULL;
}

static int scripted_append(sd_bus_message *m, const char *types, ...)
{
	va_list ap;
	must(m && m->out);
	int err = bus_fails();
	va_start(ap, types);
	for (const char *t = types; !err && *t; t++) {
		if (*t == '(' || *t == ')')
			continue;
		must(*t == 'i' || *t == 'b' || *t == 's');
		if (*t == 's') {
			const char *text = va_arg(ap, const char *);
			must(text && *text);
			m->n_domains++;
		} else {
			int v = va_arg(ap, int);
			m->ifindex = t == types && m->depth == 0 ? v : m->ifindex;
		}
	}
	va_end(ap);
	return err;
}

static int scripted_append_array(sd_bus_message *m, char type, const void *p, size_t len)
{
	int err = bus_fails();
	const uint8_t *ours = len == 4 ? addr_service_v4.b + 12 : addr_service_v6.b;
	must(m && m->out && type == 'y' && m->depth == 2 && p);
	must((len == 4 || len == sizeof(struct addr)) && memcmp(p, ours, len) == 0);
	m->address_len = len;
	return err;
}

static int scripted_open_container(sd_bus_message *m, char type, const char *contents)
{
	int err = bus_fails();
	must(m && m->out && (type == 'a' || type == 'r') && contents);
	m->depth += !err;
	return err;
}

static int scripted_close_container(sd_bus_message *m)
{
	must(m && m->out && m->depth > 0);
	int err = bus_fails();
	m->depth -= !err;
	return err;
}

/* ---- what it reads ---- */

static int read_fails(sd_bus_message *m)
{
	must(m && !m->out && !m->is_error);
	m->failed = m->failed || (m->fails && --m->fails == 0);
	return m->failed ? -EBADMSG : 0;
}

static int scripted_enter(sd_bus_message *m, char type, const char *contents)
{
	static const char order[] = "var";
	int err = read_fails(m);
	must(m->depth < 3 && type == order[m->depth] && contents);
	if (!err && !m->lines)
		err = -ENXIO; /* of another type */
	if (err || (type == 'r' && m->at == m->n_lines))
		return err;
	m->depth++;
	return 1;
}

static int scripted_exit(sd_bus_message *m)
{
	int err = read_fails(m);
	must(m->depth > 0);
	if (!err)
		m->at += m->depth-- == 3;
	return err ? err : 1;
}

static int scripted_read(sd_bus_message *m, const char *types, ...)
{
	va_list ap;
	int err = read_fails(m);
	va_start(ap, types);
	for (int i = 0; !err && types[i]; i++)
		if (types[i] == 's' && m->text[0] && i < 3) {
			*va_arg(ap, const char **) = m->text[i];
		} else if (types[i] == 'i' && m->depth == 3 && i < 2) {
			const struct line *l = &m->lines[m->at];
			*va_arg(ap, int32_t *) = i ? l->family : l->ifindex;
		} else {
			err = -ENXIO;
		}
	va_end(ap);
	return err ? err : 1;
}

static int scripted_read_array(sd_bus_message *m, char type, const void **p, size_t *len)
{
	int err = read_fails(m);
	must(type == 'y' && m->depth == 3);
	if (err)
		return err;
	*p = m->lines[m->at].len ? m->lines[m->at].address : NULL;
	*len = m->lines[m->at].len;
	return 1;
}

static int scripted_error_has_name(const sd_bus_error *e, const char *name)
{
	return e->name && strcmp(e->name, name) == 0;
}

static int scripted_is_error(sd_bus_message *m, const char *name)
{
	return m->is_error && (!name || scripted_error_has_name(&m->error, name));
}

static const sd_bus_error *scripted_get_error(sd_bus_message *m)
{
	must(m->is_error);
	return &m->error;
}

static const struct bus_calls scripted = { .add_match_async = scripted_add_match,
	.match_signal_async = scripted_match_signal,
	.call_async = scripted_call,
	.call_method_async = scripted_call_method,
	.slot_unref = scripted_slot_unref,
	.message_new_method_call = scripted_new_call,
	.message_append = scripted_append,
	.message_append_array = scripted_append_array,
	.message_open_container = scripted_open_container,
	.message_close_container = scripted_close_container,
	.message_enter_container = scripted_enter,
	.message_exit_container = scripted_exit,
	.message_read = scripted_read,
	.message_read_array = scripted_read_array,
	.message_is_method_error = scripted_is_error,
	.message_get_error = scripted_get_error,
	.message_unref = scripted_unref,
	.error_has_name = scripted_error_has_name };

struct bus *bus_open(struct loop *l, const char *path, void (*lost)(void *arg), void *arg, struct errbuf *eb)
{
	struct bus *b = w.absent ? NULL : calloc(1, sizeof(*b));
	must(l && path && !w.bus);
	if (!b) {
		err_set(eb, w.absent ? -ENOENT : -ENOMEM, "connect to the bus");
		return NULL;
	}
	*b = (struct bus) { lost, arg };
	return w.bus = b;
}

void bus_close(struct bus *b)
{
	must(b == w.bus);
	for (size_t i = 0; i < w.n_slots; i++) /* none of it is told any more */
		must(w.slot[i].given_back || w.slot[i].kind == SLOT_FLOATING);
	w.n_slots = 0;
	w.bus = NULL;
	free(b);
}

sd_bus *bus_sd(struct bus *b)
{
	must(b && b == w.bus);
	return (sd_bus *)b;
}

const struct bus_calls *bus_calls(const struct bus *b)
{
	must(b == w.bus);
	return &scripted;
}

void bus_flush(struct bus *b)
{
	must(b && b == w.bus);
}

/* ---- what comes ---- */

/* A text of the input, which ends with a NUL or with it. */
static const char *text_take(struct rd *r, char out[static TEXT_CAP])
{
	size_t n = 0;
	for (uint8_t c; r->left && (c = rd_u8(r)) != 0;)
		if (n + 1 < TEXT_CAP)
			out[n++] = (char)c;
	out[n] = 0;
	return out;
}

static void come(struct sd_bus_slot *s, struct sd_bus_message *m)
{
	sd_bus_error unused = { 0 };
	bool once = s->kind != SLOT_OWNER && s->kind != SLOT_PROPERTIES;
	if (s->given_back || s->answered)
		return;
	s->answered = once;
	(void)s->done(m, s->arg, &unused);
}

/* How those that are out are answered. */
static void answer(struct rd *r, unsigned how)
{
	static const char *const names[] = { "org.freedesktop.resolve1.NoSuchLink",
		SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_NO_REPLY, NULL };
	struct line lines[LINES_MAX];
	char text[TEXT_CAP];
	struct sd_bus_message m = { .is_error = how & 1, .lines = how & 2 ? NULL : lines };
	m.error.name = how & 1 ? names[(how >> 1) % ARRAY_LEN(names)] : NULL;
	if ((how & 0xf1) == 0xf1)
		m.error.name = text_take(r, text);
	if (!m.is_error)
		m.fails = how >> 4;
	memset(lines, 0, sizeof(lines));
	for (size_t n = rd_u8(r) & 7; m.n_lines < n; m.n_lines++) {
		struct line *l = &lines[m.n_lines];
		unsigned what = rd_u8(r);
		l->ifindex = what & 1 ? 1 : rd_u8(r);
		l->len = what & 2 ? sizeof(struct addr) : what >> 4;
		l->family = what & 4 ? AF_INET : AF_INET6;
		memcpy(l->address, w.want.nameserver.b + (what & 4 ? 12 : 0), what & 4 ? 4 : 16);
		if (what & 4 && what & 8)
			l->len = 4;
		l->address[1] ^= what >> 7;
	}
	size_t n = w.n_slots; /* what is asked meanwhile is answered the next time */
	for (size_t i = 0; i < n && w.bus && i < w.n_slots; i++) {
		struct sd_bus_slot *s = &w.slot[i];
		bool get = s->kind == SLOT_GET;
		struct sd_bus_message copy = m;
		unsigned told = w.told;
		if (s->kind == SLOT_CALL || s->kind == SLOT_FLOATING || get)
			come(s, &copy);
		must(!get || !copy.failed || w.told == told); /* half a list says nothing of who is missing */
	}
}

static void signal_come(struct rd *r, enum slot_kind kind, unsigned how)
{
	char old[TEXT_CAP], now[TEXT_CAP];
	struct sd_bus_message m = { .fails = how & 1, .text = { "org.freedesktop.resolve1", old, now } };
	if (kind == SLOT_OWNER) {
		text_take(r, old);
		text_take(r, now);
	}
	for (size_t i = 0; w.bus && i < w.n_slots; i++)
		if (w.slot[i].kind == kind) {
			come(&w.slot[i], &m);
			return;
		}
}

/* ---- the owner ---- */

static void set(void)
{
	struct errbuf eb = { 0 };
	bool outer = !w.setting;
	if (!outer)
		return;
	w.setting = true;
	int err = os_dns_resolved_set(w.d, &w.want, &eb);
	must(err ? eb.text[0] != 0 : os_dns_resolved_active(w.d));
	w.setting = false;
}

static void changed(void *arg)
{
	(void)arg;
	if (w.again)
		set();
}

static void config_take(struct rd *r, unsigned how)
{
	w.want = (struct os_dns_config) { .nameserver = how & 1 ? addr_service_v6 : addr_service_v4,
		.dev = how & 2 ? "no-such-dev" : "lo",
		.search = w.search,
		.n_search = how >> 2 & 1,
		.match = w.match,
		.n_match = how >> 3 & 1 ? 2 : 0,
		.all = how & 16 };
	const char *names[TEXTS];
	for (size_t i = 0; i < TEXTS; i++) {
		if (how & 32)
			text_take(r, w.text[i]);
		if (!w.text[i][0])
			snprintf(w.text[i], TEXT_CAP, "%zu.test", i);
		names[i] = w.text[i];
	}
	memcpy(w.search, names, sizeof(w.search));
	memcpy(w.match, names + ARRAY_LEN(w.search), sizeof(w.match));
}

static void check(void)
{
	const char *name;
	size_t live = 0;
	bool active = os_dns_resolved_active(w.d);
	must(!w.messages && (!active || w.bus));
	must(!active || !os_dns_resolved_refused(w.d)[0]);
	for (size_t i = 0; i < w.n_slots; i++)
		live += w.slot[i].kind == SLOT_CALL && !w.slot[i].given_back;
	must(live <= 8 && (active || !live));
	for (size_t i = 0; (name = os_dns_resolved_domain(w.d, i)); i++)
		must(*name && i < TEXTS + 1);
}

static void step(struct rd *r)
{
	unsigned what = rd_u8(r), how = rd_u8(r);
	switch (what % 11) {
	case 0:
		config_take(r, how);
		set();
		break;
	case 1: set(); break;
	case 2: answer(r, how); break;
	case 3: signal_come(r, SLOT_OWNER, how); break;
	case 4: signal_come(r, SLOT_PROPERTIES, how); break;
	case 5: os_dns_resolved_flush(w.d); break;
	case 6: os_dns_resolved_restore(w.d); break;
	case 7: os_dns_resolved_listen(w.d); break;
	case 8:
		if (w.bus)
			w.bus->lost(w.bus->arg);
		break;
	case 9:
		w.fails = how >> 2;
		w.absent = how & 1;
		w.again = how & 2;
		break;
	case 10:
		trouble_pass_ms(how & 1 ? LATER_MS : 100);
		loop_run_once(w.awake.loop);
		loop_run_once(w.awake.loop);
		break;
	}
}

static void run(const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len), none = rd_of(NULL, 0);
	log_setup(LOG_ERROR, false);
	if (!w.awake.loop)
		w.awake = awake_loop(loop_new());
	w.n_slots = w.fails = 0;
	w.absent = w.again = w.setting = false;
	memset(w.text, 0, sizeof(w.text));
	config_take(&none, 0);
	trouble_begin();
	w.d = os_dns_resolved_open(w.awake.loop, "/bus", changed, NULL);
	must(w.d || trouble_happened());
	for (int i = 0; w.d && i < STEPS_MAX && r.left && w.n_slots < SLOTS_MAX / 2; i++) {
		step(&r);
		check();
	}
	os_dns_resolved_close(w.d);
	trouble_end();
	loop_run_once(w.awake.loop); /* what was closed is freed */
	must(!w.bus && !w.messages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
