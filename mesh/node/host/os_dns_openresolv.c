/* It keeps a file for each interface, the text that it was told, and makes resolv.conf of them. One run of it at a
 * time: what is wanted meanwhile is told when that has ended. Whether it did as it was told is seen in resolv.conf,
 * which somebody's resolvconf.conf may give another content (name_servers=127.0.0.1); where that cannot be read, it is not known, and
 * looked at again. Once it has refused, it is asked again
 * when what it goes by changes (that file, what interfaces say), and after a while in any case: the next one is twice as long. */
#include "mesh/node/host/os_dns_openresolv.h"
#include "mesh/base/log.h"
#include "mesh/node/host/resolv_conf.h"
#include "mesh/os/child.h"
#include "mesh/os/file.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	RUN_MS = 10000,
	INTERFACES_MAX = 64,
	TEXT_MAX = 64 * 1024,
	BURST = 3,
	AGAIN_MS = 10000,
	UNREAD_MS = 1000,
	WAIT_MOST_MS = 3600 * 1000
};
#define SETTINGS "resolvconf.conf" /* beside resolv.conf */

struct os_dns_openresolv {
	struct loop *loop;
	const char *folder, *path;
	void (*changed)(void *arg);
	void *arg;
	struct child *run; /* NULL: nothing runs */
	char *want, *told; /* texts; told: NULL = not told */
	char dev[IF_NAMESIZE];
	struct addr nameserver;
	struct resolv_conf own; /* what the other interfaces say */
	int watch_fd;
	struct loop_fd *watch;
	struct log_limit limit, asked;
	char refused[160];
	uint64_t first_ms, wait_ms; /* wait_ms: of the last refusal; 0: it is as told */
	struct loop_timer *again;
	bool confirmed;		   /* what it was told last is in force */
	struct loop_timer *unread; /* set: whether that is so could not be read */
};

/* --- what others say --- */

static bool is_ours(const struct buf *text)
{
	size_t n = strlen(RESOLV_CONF_MARK);
	return text->len >= n && memcmp(buf_data(text), RESOLV_CONF_MARK, n) == 0;
}

static int read_interface(const struct os_dns_openresolv *d, const char *name, struct buf *out)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", d->folder, name);
	return name[0] == '.' ? -ENOENT : file_read(path, TEXT_MAX, out, NULL);
}

static void own_add(struct resolv_conf *own, const struct buf *text)
{
	struct resolv_conf one;
	resolv_conf_parse((const char *)buf_data(text), text->len, &one);
	for (size_t i = 0; i < one.n_nameservers && own->n_nameservers < RESOLV_SERVERS_MAX; i++)
		own->nameservers[own->n_nameservers++] = one.nameservers[i];
	for (size_t i = 0; i < one.n_search; i++)
		resolv_conf_search_add(own, one.search[i], strlen(one.search[i]));
	if (!own->options[0])
		memcpy(own->options, one.options, sizeof(own->options));
}

/* No descriptor is left: what they say is not known, rather than nothing. */
static void read_own(struct os_dns_openresolv *d)
{
	struct dirent **v = NULL;
	struct resolv_conf own;
	int n = scandir(d->folder, &v, NULL, alphasort);
	bool known = n >= 0 || errno == ENOENT;
	memset(&own, 0, sizeof(own)); /* the bytes between as well: it is compared */
	for (int i = 0; i < n; i++) {
		struct buf text = { 0 };
		int err = i < INTERFACES_MAX ? read_interface(d, v[i]->d_name, &text) : -ENOENT;
		known = known && !file_is_shortage(err);
		if (!err && text.len && !is_ours(&text))
			own_add(&own, &text);
		buf_free(&text);
		free(v[i]);
	}
	free(v);
	if (known)
		memcpy(&d->own, &own, sizeof(own));
}

/* It may be asked again; not for every change of one who changes all the time. */
static bool forgive(struct os_dns_openresolv *d)
{
	if (!d->refused[0] || !log_allowed(&d->asked, BURST, loop_now_ms(d->loop) * 1000 / AGAIN_MS))
		return false;
	d->refused[0] = 0;
	loop_timer_clear(d->again);
	return true;
}

static void wait_over(void *arg)
{
	struct os_dns_openresolv *d = arg;
	d->refused[0] = 0;
	d->changed(d->arg);
}

bool os_dns_openresolv_base_changed(struct os_dns_openresolv *d)
{
	struct resolv_conf before = d->own;
	read_own(d);
	bool others = memcmp(&before, &d->own, sizeof(before)) != 0;
	if (others)
		(void)forgive(d);
	return others;
}

size_t os_dns_openresolv_base(const struct os_dns_openresolv *d, struct endpoint *out, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < d->own.n_nameservers && n < cap; i++)
		if (!addr_is_service(&d->own.nameservers[i].ip))
			out[n++] = d->own.nameservers[i];
	return n;
}

/* --- telling it --- */

static bool tell(struct os_dns_openresolv *d);

/* Whom programs ask. */
enum asked { ASKED_OTHERS, ASKED_US, ASKED_UNKNOWN };

/* A file that is there and cannot be read (no descriptor is left, no right) may name anybody. */
static enum asked who_is_asked(const struct os_dns_openresolv *d)
{
	struct buf text = { 0 };
	struct resolv_conf c = { 0 };
	int err = file_read(d->path, TEXT_MAX, &text, NULL);
	bool known = !err || err == -ENOENT || err == -ENOTDIR || err == -ELOOP || err == ERR_TOO_LARGE;
	if (!err && text.len)
		resolv_conf_parse((const char *)buf_data(&text), text.len, &c);
	buf_free(&text);
	if (!known)
		return ASKED_UNKNOWN;
	return c.n_nameservers && addr_equal(&c.nameservers[0].ip, &d->nameserver) ? ASKED_US : ASKED_OTHERS;
}

static void take_back(struct os_dns_openresolv *d, const char *dev)
{
	const char *const argv[] = { "resolvconf", "-f", "-d", dev, NULL };
	struct errbuf eb = { 0 };
	if (child_run(argv, NULL, 0, RUN_MS, &eb) != 0)
		log_warn("resolvconf -d %s: %s", dev, eb.text);
	free(d->told);
	d->told = NULL;
}

static void give_up(struct os_dns_openresolv *d, const char *why)
{
	uint64_t longer = d->wait_ms * 2 < WAIT_MOST_MS ? d->wait_ms * 2 : WAIT_MOST_MS;
	snprintf(d->refused, sizeof(d->refused), "%s", why);
	log_warn("openresolv is not told of the mesh's names: %s", d->refused);
	if (d->told)
		take_back(d, d->dev);
	free(d->want);
	d->want = NULL;
	loop_timer_clear(d->unread);
	d->wait_ms = d->wait_ms ? longer : d->first_ms;
	loop_timer_set(d->again, d->wait_ms);
}

static void refuse(struct os_dns_openresolv *d, const char *why)
{
	give_up(d, why);
	d->changed(d->arg);
}

/* It is asked to write the file once more; a file that goes on to name others is not its alone to write. */
static void insist(struct os_dns_openresolv *d)
{
	if (!log_allowed(&d->limit, BURST, loop_now_ms(d->loop) * 1000 / AGAIN_MS))
		refuse(d, "resolv.conf names others all the same (by resolvconf.conf, or another program)");
	else if (!tell(d))
		d->changed(d->arg);
}

/* Nothing runs. Did it do as it was told? */
static void check(struct os_dns_openresolv *d)
{
	switch (who_is_asked(d)) {
	case ASKED_OTHERS: insist(d); break;
	case ASKED_UNKNOWN: loop_timer_set(d->unread, UNREAD_MS); break;
	case ASKED_US:
		d->wait_ms = 0;
		if (!d->confirmed)
			log_info("openresolv names the mesh's resolver");
		d->confirmed = true;
	}
}

static void check_again(void *arg)
{
	struct os_dns_openresolv *d = arg;
	if (d->told && !d->run)
		check(d);
}

static void has_run(void *arg, int code, const char *why)
{
	struct os_dns_openresolv *d = arg;
	d->run = NULL;
	if (code) {
		refuse(d, why);
	} else if (d->want && strcmp(d->want, d->told) != 0) {
		if (!tell(d))
			d->changed(d->arg);
	} else {
		check(d);
	}
}

/* What it knows already it does not write again, but by -u. false: it was given up. */
static bool tell(struct os_dns_openresolv *d)
{
	const char *const add[] = { "resolvconf", "-x", "-m", "0", "-a", d->dev, NULL };
	const char *const update[] = { "resolvconf", "-u", NULL };
	struct errbuf eb = { 0 };
	bool known = d->told && strcmp(d->told, d->want) == 0;
	d->confirmed = false;
	if (!known) {
		free(d->told);
		d->told = strdup(d->want);
	}
	if (d->told)
		d->run = child_start(d->loop, known ? update : add, d->told, known ? 0 : strlen(d->told),
			RUN_MS, has_run, d, &eb);
	if (!d->run)
		give_up(d, d->told ? eb.text : "memory is short");
	return d->run != NULL;
}

/* --- news --- */

static void look(struct os_dns_openresolv *d, bool settings)
{
	bool others = os_dns_openresolv_base_changed(d);
	bool anew = settings && forgive(d);
	if (d->told && !d->run)
		check(d);
	if (others || anew)
		d->changed(d->arg);
}

static void have_news(void *arg, int events)
{
	struct os_dns_openresolv *d = arg;
	char news[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool settings = false;
	(void)events;
	for (ssize_t n; (n = read(d->watch_fd, news, sizeof(news))) > 0;) {
		const struct inotify_event *e;
		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(news + at);
			settings = settings || (e->len && strcmp(e->name, SETTINGS) == 0);
		}
	}
	look(d, settings);
}

static void start_watch(struct os_dns_openresolv *d)
{
	enum { NEWS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE };
	char folder[PATH_MAX];
	if (d->watch)
		return;
	d->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	snprintf(folder, sizeof(folder), "%s", d->path);
	char *slash = strrchr(folder, '/');
	if (d->watch_fd < 0 || !slash)
		return;
	slash[slash == folder] = 0;
	(void)inotify_add_watch(d->watch_fd, d->folder, NEWS);
	(void)inotify_add_watch(d->watch_fd, folder, NEWS);
	d->watch = loop_fd_new(d->loop, d->watch_fd, have_news, d);
	if (d->watch)
		loop_fd_set(d->watch, LOOP_READ);
}

static void stop_watch(struct os_dns_openresolv *d)
{
	loop_fd_free(d->watch);
	if (d->watch_fd >= 0)
		close(d->watch_fd);
	d->watch = NULL;
	d->watch_fd = -1;
}

/* --- the owner --- */

struct os_dns_openresolv *os_dns_openresolv_open(
	struct loop *l, const struct dns_places *places, void (*changed)(void *arg), void *arg)
{
	struct os_dns_openresolv *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	*d = (struct os_dns_openresolv) { .loop = l,
		.folder = places->openresolv,
		.path = places->resolv_conf,
		.changed = changed,
		.arg = arg,
		.watch_fd = -1,
		.first_ms = places->ask_again_ms };
	d->again = loop_timer_new(l, wait_over, d);
	d->unread = loop_timer_new(l, check_again, d);
	if (d->again && d->unread) {
		read_own(d);
		return d;
	}
	os_dns_openresolv_close(d);
	return NULL;
}

void os_dns_openresolv_restore(struct os_dns_openresolv *d)
{
	stop_watch(d);
	child_cancel(d->run);
	d->run = NULL;
	if (d->unread)
		loop_timer_clear(d->unread);
	if (d->told)
		take_back(d, d->dev);
	free(d->want);
	d->want = NULL;
}

void os_dns_openresolv_close(struct os_dns_openresolv *d)
{
	if (!d)
		return;
	os_dns_openresolv_restore(d);
	loop_timer_free(d->again);
	loop_timer_free(d->unread);
	free(d);
}

void os_dns_openresolv_recover(struct os_dns_openresolv *d)
{
	struct dirent **v = NULL;
	int n = scandir(d->folder, &v, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		struct buf text = { 0 };
		if (read_interface(d, v[i]->d_name, &text) == 0 && is_ours(&text)) {
			log_info("taking back what openresolv was told of %s before a crash", v[i]->d_name);
			take_back(d, v[i]->d_name);
		}
		buf_free(&text);
		free(v[i]);
	}
	free(v);
	read_own(d);
}

int os_dns_openresolv_set(struct os_dns_openresolv *d, const struct os_dns_config *c, struct errbuf *eb)
{
	char *text = resolv_conf_ours(&d->own, &c->nameserver, c->search, c->n_search);
	if (!text)
		return err_set(eb, -ENOMEM, "tell openresolv of the mesh's names");
	if (d->told && strcmp(c->dev, d->dev) != 0)
		os_dns_openresolv_restore(d);
	snprintf(d->dev, sizeof(d->dev), "%s", c->dev);
	d->nameserver = c->nameserver;
	free(d->want);
	d->want = text;
	start_watch(d);
	if (!d->run && (!d->told || strcmp(d->told, d->want) != 0))
		tell(d);
	return d->refused[0] ? err_say(eb, ERR_REFUSED, "openresolv is not told of the mesh's names: %s",
				       d->refused)
			     : 0;
}

bool os_dns_openresolv_active(const struct os_dns_openresolv *d)
{
	return d->told != NULL;
}

const char *os_dns_openresolv_refused(const struct os_dns_openresolv *d)
{
	return d->refused;
}
