/* state.json as a backup, an editor or a full disk may leave it: read whole or refused with a sentence. What was read is kept, and
 * read again, as a node does it. */
#include "mesh/node/host/state.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char folder[64];
static int lock = -1;

static void folder_end(void)
{
	close(lock);
	dir_remove(folder, NULL);
}

/* A folder that is not there yet is made, with a key of its own; one below a file cannot be, and a sentence says so. */
static void check_folders(void)
{
	char path[sizeof(folder) + 32];
	struct state fresh;
	struct errbuf eb = { 0 };
	snprintf(path, sizeof(path), "%s/new", folder);
	if (state_load(path, &random_system, &fresh, &eb) || key_is_zero(fresh.machine.b))
		abort();
	snprintf(path, sizeof(path), "%s/new/state.json/x", folder);
	if (state_load(path, &random_system, &fresh, &eb) >= 0 || state_lock(path, &eb) >= 0 || !eb.text[0])
		abort();
	state_wipe(&fresh);
}

/* Where syncing costs nothing, if there is such a place. */
static const char *folder_of_all(void)
{
	struct errbuf eb;
	if (*folder)
		return folder;
	snprintf(folder, sizeof(folder), "%s/rw-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(folder) || atexit(folder_end) != 0 || (lock = state_lock(folder, &eb)) < 0)
		abort();
	check_folders();
	return folder;
}

/* As it was, padding and all. */
static bool same_bytes(const void *a, const void *b, size_t n)
{
	return memcmp(a, b, n) == 0;
}

static void check_kept(const struct state *s)
{
	struct state again;
	struct errbuf eb = { 0 };
	struct arena a = { 0 };
	const char *dir = folder_of_all();
	const struct addr at = addr_v4(0xc0000201);
	for (int i = 0; i < 2; i++) /* the second time it is there already */
		if (state_save(dir, s, &eb))
			abort();
	if (state_load(dir, &random_system, &again, &eb))
		abort();
	if (!key_equal(again.machine.b, s->machine.b) || !key_equal(again.node.b, s->node.b) ||
		strcmp(again.prefs.control_url, s->prefs.control_url) != 0 ||
		strcmp(again.prefs.exit_node, s->prefs.exit_node) != 0 ||
		strcmp(again.prefs.tags, s->prefs.tags) != 0 || again.prefs.n_offered != s->prefs.n_offered ||
		memcmp(again.prefs.offered, s->prefs.offered, sizeof(again.prefs.offered)) != 0)
		abort();
	(void)state_server_reached(&again, &at);
	if (state_server_reached(&again, &at) && *again.prefs.control_url)
		abort(); /* that was said before */
	(void)state_tags(&a, &again.prefs);
	arena_free(&a);
	state_wipe(&again);
}

static void check_map(const uint8_t *data, size_t len)
{
	struct buf back = { 0 };
	struct errbuf eb = { 0 };
	const char *dir = folder_of_all();
	if (state_map_save(dir, data, len, &eb) || state_map_load(dir, &back, &eb) || back.len != len ||
		(len && memcmp(buf_data(&back), data, len) != 0))
		abort();
	buf_free(&back);
	state_map_forget(dir);
	if (state_map_load(dir, &back, &eb) != -ENOENT)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct errbuf eb = { 0 };
	struct state s, before;
	memset(&s, 0x5a, sizeof(s));
	before = s;
	int err = state_read("state.json", (const char *)data, len, &s, &eb);
	if (err && (!same_bytes(&s, &before, sizeof(s)) || !eb.text[0]))
		abort();
	if (!err &&
		(key_is_zero(s.machine.b) || !memchr(s.prefs.control_url, 0, sizeof(s.prefs.control_url)) ||
			!memchr(s.prefs.hostname, 0, sizeof(s.prefs.hostname)) ||
			!memchr(s.login_name, 0, sizeof(s.login_name))))
		abort();
	if (!err) {
		check_kept(&s);
		check_map(data, len);
	}
	state_wipe(&s);
	return 0;
}
