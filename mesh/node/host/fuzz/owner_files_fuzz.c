/* Files in which others name the machine's nameservers: resolv.conf, whom systemd-resolved has behind its stub, what another owner goes
 * on to say, what interfaces told openresolv. An input is lines: a letter that says what happens, and a text, in which '|' ends a line.
 * Whatever they say: while it is set the file is ours, and what nobody else touched meanwhile is afterwards as it was. With memory
 * short at one place or another. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/base/log.h"
#include "mesh/node/host/os_dns_file.h"
#include "mesh/node/host/os_dns_openresolv.h"
#include "mesh/node/host/resolv_conf.h"
#include "mesh/os/file.h"
#include "mesh/os/fuzz/awake.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { STEPS_MAX = 40, PATH_CAP = 96, TEXT_CAP = 2048, REWRITE_MS = 10000, SERVERS = 8 };

/* What is at a path. */
struct seen {
	bool there, link;
	size_t len;
	char text[TEXT_CAP * 2], to[PATH_CAP];
};

/* What outlives an input. */
struct world {
	struct awake awake;
	char dir[64], path[PATH_CAP], backup[PATH_CAP], beside[PATH_CAP], uplinks[PATH_CAP], kept[PATH_CAP],
		interfaces[PATH_CAP], target[PATH_CAP], made[PATH_CAP];
	struct os_dns_file *file;
	struct os_dns_openresolv *openresolv;
	struct seen before; /* when it was set */
	bool touched;	    /* by somebody else since */
	bool has_kept;
};
static struct world only;

static const struct addr us = {
	{ [10] = 0xff, [11] = 0xff, [12] = 100, [13] = 100, [14] = 100, [15] = 100 }
};

static void changed(void *arg)
{
	(void)arg;
}

/* By plain calls: those of the code under test may find no memory. */
static struct seen look(const char *path)
{
	struct seen s = { 0 };
	struct stat st;
	s.there = lstat(path, &st) == 0;
	s.link = s.there && S_ISLNK(st.st_mode) && readlink(path, s.to, sizeof(s.to) - 1) > 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, s.text, sizeof(s.text)) : 0;
	s.len = n > 0 ? (size_t)n : 0;
	if (fd >= 0)
		close(fd);
	return s;
}

static bool same(const struct seen *a, const struct seen *b)
{
	return a->there == b->there && a->link == b->link && a->len == b->len &&
	       !memcmp(a->text, b->text, a->len) && !strcmp(a->to, b->to);
}

static bool is_ours(const struct seen *s)
{
	struct resolv_conf c;
	const size_t mark = strlen(RESOLV_CONF_MARK);
	if (s->len < mark || memcmp(s->text, RESOLV_CONF_MARK, mark) != 0)
		return false;
	resolv_conf_parse(s->text, s->len, &c);
	return c.n_nameservers == 1 && addr_equal(&c.nameservers[0].ip, &us);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd < 0 || write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	if (fd >= 0)
		close(fd);
}

static void world_end(void)
{
	awake_free(&only.awake);
	dir_remove(only.dir, NULL);
}

static struct world *world(void)
{
	struct world *w = &only;
	if (w->dir[0])
		return w;
	log_setup(LOG_ERROR, false);
	snprintf(w->dir, sizeof(w->dir), "%s/rw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	/* resolvconf(8) of this machine, should there be one, is not for us */
	must(mkdtemp(w->dir) && setenv("PATH", w->dir, 1) == 0);
	snprintf(w->path, PATH_CAP, "%s/resolv.conf", w->dir);
	snprintf(w->backup, PATH_CAP, "%s/resolv.conf.before-ropewalk", w->dir);
	snprintf(w->beside, PATH_CAP, "%s/resolv.conf.ropewalk", w->dir);
	snprintf(w->uplinks, PATH_CAP, "%s/uplinks", w->dir);
	snprintf(w->kept, PATH_CAP, "%s/kept", w->dir);
	snprintf(w->interfaces, PATH_CAP, "%s/interfaces", w->dir);
	snprintf(w->target, PATH_CAP, "%s/target", w->dir);
	snprintf(w->made, PATH_CAP, "%s/made", w->dir);
	must(mkdir(w->interfaces, 0755) == 0);
	w->awake = awake_loop(loop_new());
	must(atexit(world_end) == 0);
	return w;
}

static void check_bases(const struct world *w)
{
	struct endpoint at[SERVERS];
	size_t n = os_dns_file_base(w->file, at, SERVERS);
	must(n <= SERVERS);
	for (size_t i = 0; i < n; i++)
		must(!addr_is_service(&at[i].ip) && at[i].port); /* never ourselves */
	n = os_dns_openresolv_base(w->openresolv, at, SERVERS);
	for (size_t i = 0; i < n; i++)
		must(!addr_is_service(&at[i].ip) && at[i].port);
}

static void set(struct world *w, const char *name)
{
	const char *const search[] = { name, "corp.test" };
	const struct os_dns_config c = {
		.nameserver = us, .dev = "rope0", .search = search, .n_search = 2, .all = true
	};
	struct errbuf eb = { 0 };
	if (!os_dns_file_active(w->file)) {
		w->before = look(w->path);
		w->touched = w->has_kept || is_ours(&w->before) || w->before.len == sizeof(w->before.text);
	}
	int err = os_dns_file_set(w->file, &us, search, 2, &eb);
	const struct seen now = look(w->path);
	must(err ? eb.text[0] != 0 : os_dns_file_active(w->file));
	must(err || w->touched || is_ours(&now));
	must(os_dns_file_active(w->file) || w->touched || same(&w->before, &now));
	(void)os_dns_openresolv_set(w->openresolv, &c, &eb);
}

/* As it was, and nothing beside it. */
static void check_restored(struct world *w, bool active)
{
	const struct seen now = look(w->path), backup = look(w->backup), beside = look(w->beside);
	if (active && !w->touched)
		must(same(&w->before, &now) && !backup.there && !beside.there);
	w->touched = true;
}

static void restore(struct world *w)
{
	bool active = os_dns_file_active(w->file);
	os_dns_file_restore(w->file);
	must(!os_dns_file_active(w->file));
	check_restored(w, active);
	os_dns_openresolv_restore(w->openresolv);
}

static bool open_all(struct world *w)
{
	const struct dns_places places = {
		.resolv_conf = w->path, .openresolv = w->interfaces, .ask_again_ms = 1000
	};
	w->has_kept = false;
	w->file = os_dns_file_open(w->awake.loop, w->path, w->uplinks, changed, NULL);
	w->openresolv = os_dns_openresolv_open(w->awake.loop, &places, changed, NULL);
	if (w->file)
		os_dns_file_recover(w->file);
	if (w->openresolv)
		os_dns_openresolv_recover(w->openresolv);
	return w->file && w->openresolv;
}

static void close_all(struct world *w)
{
	bool active = w->file && os_dns_file_active(w->file);
	os_dns_file_close(w->file);
	os_dns_openresolv_close(w->openresolv);
	w->file = NULL;
	w->openresolv = NULL;
	check_restored(w, active);
}

static void say_interface(const struct world *w, const char *text)
{
	char path[PATH_CAP + 4];
	snprintf(path, sizeof(path), "%s/e%c", w->interfaces, *text ? "0123"[*text & 3] : '0');
	if (*text)
		put(path, text);
	else
		unlink(path);
}

/* Somebody else's doing. */
static void others(struct world *w, char what, const char *text)
{
	w->touched = true;
	switch (what) {
	case 'f': put(w->path, text); break;
	case 'r':
		put(w->made, text);
		must(rename(w->made, w->path) == 0);
		break;
	case 'd': unlink(w->path); break;
	case 'l':
		put(w->target, text);
		unlink(w->path);
		must(symlink(*text ? "target" : "nowhere", w->path) == 0);
		break;
	case 'b': put(w->backup, text); break;
	case 'u': put(w->uplinks, text); break;
	case 'k': put(w->kept, text); break;
	default: say_interface(w, text);
	}
}

static void step(struct world *w, char what, const char *text)
{
	const char *own;
	bool missing;
	switch (what) {
	case 's': set(w, text); break;
	case 'x': restore(w); break;
	case 'c':
		(void)os_dns_file_base_changed(w->file);
		(void)os_dns_openresolv_base_changed(w->openresolv);
		must(os_dns_file_text(w->file, &own, &missing) && *own);
		break;
	case 't':
		loop_run_once(w->awake.loop);
		loop_run_once(w->awake.loop);
		break;
	case 'p': trouble_pass_ms(REWRITE_MS); break;
	case 'o':
		close_all(w);
		(void)open_all(w);
		break;
	case 'w':
		if (os_dns_file_active(w->file))
			break;
		w->has_kept = *text == 'k';
		os_dns_file_way(w->file, *text != 'n', w->has_kept ? w->kept : "");
		os_dns_file_watch(w->file);
		break;
	default: others(w, what, text);
	}
}

/* The next line of the input, as text. */
static const uint8_t *line_take(const uint8_t *at, const uint8_t *end, char *what, char *text)
{
	const uint8_t *nl = memchr(at, '\n', (size_t)(end - at)), *stop = nl ? nl : end;
	size_t n = 0;
	*what = at < stop ? (char)*at++ : 't';
	for (; at < stop && n + 1 < TEXT_CAP; at++)
		text[n++] = *at == '|' ? '\n' : *at ? (char)*at : ' ';
	text[n] = 0;
	return stop + (nl != NULL);
}

static void run(const uint8_t *data, size_t len)
{
	struct world *w = world();
	const uint8_t *const end = data + len;
	char what, text[TEXT_CAP];
	w->touched = true;
	trouble_begin();
	bool ok = open_all(w);
	for (int i = 0; ok && i < STEPS_MAX && data < end; i++) {
		data = line_take(data, end, &what, text);
		step(w, what, text);
		ok = w->file && w->openresolv;
		if (ok)
			check_bases(w);
	}
	close_all(w);
	trouble_end();
	const char *const gone[] = { w->path, w->backup, w->beside, w->uplinks, w->kept, w->target, w->made };
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		unlink(gone[i]);
	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "%s/e%d", w->interfaces, i);
		unlink(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return trouble_twice(run, data, len);
}
