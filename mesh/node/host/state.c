#include "mesh/node/host/state.h"
#include "mesh/base/log.h"
#include "mesh/os/file.h"
#include "mesh/proto/json_memory.h"
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STATE_BYTES_MAX = 64 * 1024, MAP_BYTES_MAX = 64 * 1024 * 1024, LOCK_MS = 2000, LOCK_STEP_MS = 20 };

static void path_of(const char *dir, const char *file, char *out)
{
	snprintf(out, PATH_MAX, "%s/%s", dir, file);
}

static bool copy_text(const json_t *o, const char *key, char *out, size_t cap)
{
	const char *s = json_string_value(json_object_get(o, key));
	if (!s || strlen(s) >= cap)
		return false;
	strcpy(out, s);
	return true;
}

static bool take_key(json_t *o, const char *key, uint8_t out[static KEY_LEN])
{
	const char *s = json_string_value(json_object_get(o, key));
	return s && key_parse(s, "privkey:", out);
}

static bool take_server(const json_t *o, const char *key, uint8_t out[static KEY_LEN])
{
	const char *s = json_string_value(json_object_get(o, key));
	return s && key_parse(s, "mkey:", out);
}

/* One that cannot be read is left out: what is not offered harms nobody. */
static void take_offered(const json_t *prefs, struct state_prefs *p)
{
	const json_t *list = json_object_get(prefs, "advertise_routes");
	for (size_t i = 0; i < json_array_size(list) && p->n_offered < STATE_OFFERED_MAX; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (text && prefix_parse(text, &p->offered[p->n_offered]))
			prefix_mask(&p->offered[p->n_offered++]);
	}
}

static void take_routes(const json_t *prefs, struct state_prefs *p)
{
	p->accept_routes = json_is_true(json_object_get(prefs, "accept_routes"));
	p->routes_before_own = json_is_true(json_object_get(prefs, "routes_before_own"));
	p->no_snat = json_is_true(json_object_get(prefs, "no_snat"));
	p->unasked = json_is_true(json_object_get(prefs, "no_stateful_filtering"));
	p->shields_up = json_is_true(json_object_get(prefs, "shields_up"));
	p->no_netfilter = json_is_true(json_object_get(prefs, "no_netfilter"));
	copy_text(prefs, "exit_node", p->exit_node, sizeof(p->exit_node)); /* or none */
	copy_text(prefs, "exit_prior", p->exit_prior, sizeof(p->exit_prior));
	p->exit_allow_lan = json_is_true(json_object_get(prefs, "exit_allow_lan"));
	take_offered(prefs, p);
	copy_text(prefs, "advertise_tags", p->tags, sizeof(p->tags)); /* or none */
}

static void take_seen(const json_t *root, struct state *s)
{
	const char *text = json_string_value(json_object_get(root, "server_seen"));
	if (!text || !addr_parse(text, &s->seen) ||
		!copy_text(root, "server_seen_url", s->seen_url, sizeof(s->seen_url)))
		s->seen_url[0] = 0; /* not known */
}

static json_t *offered_value(const struct state_prefs *p)
{
	json_t *list = json_array();
	char text[PREFIX_TEXT];
	for (size_t i = 0; i < p->n_offered; i++)
		json_array_append_new(list, json_string(prefix_format(&p->offered[i], text)));
	return list;
}

/* Whole or nothing: *out is written only when every field is there. */
int state_read(const char *path, const char *text, size_t len, struct state *out, struct errbuf *eb)
{
	json_error_t je;
	json_t *root = json_memory_load(text, len, JSON_REJECT_DUPLICATES, &je, NULL);
	if (!root)
		return err_say(eb, ERR_MALFORMED,
			"%s is damaged (line %d: %s): restore it from a backup, or remove it to log in anew "
			"as a new machine",
			path, je.line, je.text);
	struct state s = { 0 };
	json_int_t version = json_integer_value(json_object_get(root, "version"));
	json_t *prefs = json_object_get(root, "prefs");
	int err = 0;
	if (version != STATE_VERSION)
		err = err_say(eb, ERR_VERSION,
			"%s was written by another version (%lld, this program knows %d): use that version, "
			"or remove the file to log in anew",
			path, (long long)version, STATE_VERSION);
	else if (!take_key(root, "machine_key", s.machine.b) || key_is_zero(s.machine.b) ||
		 !take_key(root, "node_key", s.node.b) || !take_server(root, "server_key", s.server.b) ||
		 !json_is_object(prefs) ||
		 !copy_text(prefs, "control_url", s.prefs.control_url, sizeof(s.prefs.control_url)) ||
		 !copy_text(prefs, "hostname", s.prefs.hostname, sizeof(s.prefs.hostname)) ||
		 !copy_text(root, "login_name", s.login_name, sizeof(s.login_name)))
		err = err_say(eb, ERR_MALFORMED,
			"%s lacks a key or a preference: restore it from a backup, or remove it to log in "
			"anew as a new machine",
			path);
	s.logged_in = json_is_true(json_object_get(root, "logged_in"));
	json_int_t floor_ms = json_integer_value(json_object_get(root, "handshake_floor_ms"));
	s.handshake_floor_ms = floor_ms > 0 ? (uint64_t)floor_ms : 0;
	copy_text(
		prefs, "operator_user", s.prefs.operator_user, sizeof(s.prefs.operator_user)); /* or nobody */
	s.prefs.want_running = json_is_true(json_object_get(prefs, "want_running"));
	s.prefs.accept_dns = json_is_true(json_object_get(prefs, "accept_dns"));
	take_server(prefs, "server_pin", s.prefs.server_pin.b); /* or none */
	take_routes(prefs, &s.prefs);
	take_seen(root, &s);
	json_decref(root);
	if (!err)
		*out = s;
	state_wipe(&s);
	return err;
}

static int explain_folder(const char *dir, struct errbuf *eb)
{
	return err_say(eb, eb->code,
		"the state folder %s cannot be used (%s): make it writable for this user, or name another "
		"with --statedir",
		dir, eb->text);
}

int state_lock(const char *dir, struct errbuf *eb)
{
	char path[PATH_MAX];
	int fd;
	path_of(dir, "lock", path);
	if (dir_make(dir, 0700, eb) != 0)
		return explain_folder(dir, eb);
	/* One that was killed may hold it for as long as the kernel takes its interface down. */
	for (int left_ms = LOCK_MS;; left_ms -= LOCK_STEP_MS) {
		fd = file_lock(path, eb);
		if (fd != -EWOULDBLOCK || left_ms <= 0)
			break;
		nanosleep(&(struct timespec) { .tv_nsec = LOCK_STEP_MS * 1000000L }, NULL);
	}
	if (fd == -EWOULDBLOCK)
		return err_say(eb, -EWOULDBLOCK,
			"another ropewalkd uses the state folder %s; stop it, or give this one its own with "
			"--statedir",
			dir);
	return fd < 0 ? explain_folder(dir, eb) : fd;
}

int state_load(const char *dir, const struct random *rnd, struct state *out, struct errbuf *eb)
{
	char path[PATH_MAX];
	path_of(dir, "state.json", path);
	int err = dir_make(dir, 0700, eb);
	if (err)
		return err;
	struct buf b = { 0 };
	/* A backup that was put back may have come with other rights: it holds private keys. */
	err = file_read_own(path, STATE_BYTES_MAX, FILE_HIDE, &b, eb);
	if (err == -ENOENT) {
		struct state fresh = { .prefs = { .accept_dns = true } };
		key_generate(rnd, fresh.machine.b);
		err = state_save(dir, &fresh, eb);
		if (!err)
			*out = fresh;
		state_wipe(&fresh);
		return err;
	}
	if (!err)
		err = state_read(path, (const char *)buf_data(&b), b.len, out, eb);
	buf_wipe(&b);
	return err;
}

/* A login that changes nothing comes with each new stream of the server: packets do not wait for a disk then. */
static bool is_kept(const char *path, const char *text, size_t len)
{
	struct buf b = { 0 };
	bool kept = file_read_own(path, STATE_BYTES_MAX, FILE_HIDE, &b, NULL) == 0 && b.len == len &&
		    memcmp(buf_data(&b), text, len) == 0;
	buf_wipe(&b);
	return kept;
}

int state_save(const char *dir, const struct state *s, struct errbuf *eb)
{
	char path[PATH_MAX], machine[KEY_TEXT], node[KEY_TEXT], server[KEY_TEXT], pin[KEY_TEXT];
	char seen[ADDR_TEXT];
	path_of(dir, "state.json", path);
	json_t *root = json_pack(
		"{s:i, s:s, s:s, s:s, s:I, s:b, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, "
		"s:b, s:b, s:s, s:s, s:b, s:o, s:s, s:b, s:b}}",
		"version", STATE_VERSION, "machine_key", key_format(s->machine.b, "privkey:", machine),
		"node_key", key_format(s->node.b, "privkey:", node), "server_key",
		key_format(s->server.b, "mkey:", server), "handshake_floor_ms",
		(json_int_t)s->handshake_floor_ms, "logged_in", s->logged_in, "login_name", s->login_name,
		"server_seen_url", s->seen_url, "server_seen", addr_format(&s->seen, seen), "prefs",
		"control_url", s->prefs.control_url, "server_pin",
		key_format(s->prefs.server_pin.b, "mkey:", pin), "hostname", s->prefs.hostname,
		"operator_user", s->prefs.operator_user, "want_running", s->prefs.want_running, "accept_dns",
		s->prefs.accept_dns, "accept_routes", s->prefs.accept_routes, "routes_before_own",
		s->prefs.routes_before_own, "no_snat", s->prefs.no_snat, "no_stateful_filtering",
		s->prefs.unasked, "exit_node", s->prefs.exit_node, "exit_prior", s->prefs.exit_prior,
		"exit_allow_lan", s->prefs.exit_allow_lan, "advertise_routes", offered_value(&s->prefs),
		"advertise_tags", s->prefs.tags, "shields_up", s->prefs.shields_up, "no_netfilter",
		s->prefs.no_netfilter);
	char *text = root ? json_memory_dump(root, JSON_INDENT(2)) : NULL;
	int err = text ? 0 : err_set(eb, -ENOMEM, "write %s", path);
	if (text && !is_kept(path, text, strlen(text)))
		err = file_write_atomic(path, 0600, text, strlen(text), eb);
	json_text_free(text);
	json_decref(root);
	key_wipe(machine, sizeof(machine));
	key_wipe(node, sizeof(node));
	return err;
}

void state_wipe(struct state *s)
{
	key_wipe(s, sizeof(*s));
}

bool state_server_reached(struct state *s, const struct addr *at)
{
	const struct addr *was = state_server_seen(s);
	if (was && addr_equal(was, at))
		return false;
	memcpy(s->seen_url, s->prefs.control_url, sizeof(s->seen_url));
	s->seen = *at;
	return true;
}

const struct addr *state_server_seen(const struct state *s)
{
	bool same = s->seen_url[0] && strcmp(s->seen_url, s->prefs.control_url) == 0;
	return same ? &s->seen : NULL;
}

struct ctl_strings state_tags(struct arena *a, const struct state_prefs *p)
{
	char *text = arena_strdup(a, p->tags), *save = NULL;
	struct ctl_strings out = { .v = arena_array(a, strlen(p->tags) / 2 + 1, sizeof(*out.v)) };
	for (char *t = text && out.v ? strtok_r(text, ",", &save) : NULL; t; t = strtok_r(NULL, ",", &save))
		out.v[out.n++] = t;
	return out;
}

int state_map_save(const char *dir, const void *json, size_t len, struct errbuf *eb)
{
	char path[PATH_MAX];
	path_of(dir, "netmap.json", path);
	return file_write_atomic(path, 0600, json, len, eb);
}

int state_map_load(const char *dir, struct buf *out, struct errbuf *eb)
{
	char path[PATH_MAX];
	path_of(dir, "netmap.json", path);
	return file_read_own(path, MAP_BYTES_MAX, FILE_SHOWN, out, eb);
}

void state_map_forget(const char *dir)
{
	char path[PATH_MAX];
	path_of(dir, "netmap.json", path);
	unlink(path);
}
