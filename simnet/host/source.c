#include "simnet/host/source.h"

#include "mesh/os/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20 };

static int read_part(void *owner, const char *path, struct buf *out, struct errbuf *eb)
{
	(void)owner;
	return file_read(path, FILE_BYTES_MAX, out, eb);
}

int source_read_scenario(
	const char *path, size_t variant, struct scenario *out, struct scn_errors *all, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read(path, FILE_BYTES_MAX, &text, eb);
	if (err)
		scenario_error(all, "%s", eb->text);
	else
		err = scenario_read(&(struct scn_text) { .file = path,
					    .text = (const char *)buf_data(&text),
					    .len = text.len,
					    .variant = variant,
					    .read = read_part },
			out, all, eb);
	buf_free(&text);
	return err;
}

static bool has_top_key(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (!strncmp(text, key, len) && text[len + strspn(text + len, " ")] == ':')
			return true;
	return false;
}

enum source_kind source_kind_of(const char *path)
{
	struct buf text = { .cap = FILE_BYTES_MAX + 1 };
	struct errbuf eb;
	enum source_kind kind = SOURCE_SCENARIO;

	if (!file_read(path, FILE_BYTES_MAX, &text, &eb) && text.len &&
		!has_top_key(buf_cstr(&text), "simnet"))
		kind = has_top_key(buf_cstr(&text), "adapter") ? SOURCE_ADAPTER
		       : has_top_key(buf_cstr(&text), "part")  ? SOURCE_PART
							       : SOURCE_SCENARIO;
	buf_free(&text);
	return kind;
}

/* Beside scenarios lie scenarios: one that happens to be called as an adapter is not in its way. */
static bool names_scenario(const char *path)
{
	struct buf text = { .cap = FILE_BYTES_MAX + 1 };
	struct errbuf eb;
	bool is = !file_read(path, FILE_BYTES_MAX, &text, &eb) && text.len &&
		  has_top_key(buf_cstr(&text), "simnet") && !has_top_key(buf_cstr(&text), "adapter");
	buf_free(&text);
	return is;
}

int source_read_adapter(const char *path, struct adapter *out, struct scn_errors *all, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read(path, FILE_BYTES_MAX, &text, eb);
	if (!err)
		err = adapter_parse_all(path, (const char *)buf_data(&text), text.len, out, all, eb);
	buf_free(&text);
	return err;
}

/* The source tree that BUILD/bin/simnet was made from, as BUILD's own records have it. */
static bool find_source_tree(const char *build, char *out, size_t cap)
{
	static const char key[] = "\nCMAKE_HOME_DIRECTORY:INTERNAL=";
	char path[600];
	struct buf text = { .cap = FILE_BYTES_MAX + 1 };
	struct errbuf eb;
	snprintf(path, sizeof(path), "%s/CMakeCache.txt", build);
	const char *at = file_read(path, FILE_BYTES_MAX, &text, &eb) ? NULL : strstr(buf_cstr(&text), key);
	if (at) {
		at += strlen(key);
		snprintf(out, cap, "%.*s", (int)strcspn(at, "\n"), at);
	}
	buf_free(&text);
	return at;
}

/* Where this program is: DIR/bin/simnet has its adapters in DIR/share, and one that still is where it was
 * built reads those of its source. Found once: every node of a scenario asks. */
static const char *own_adapters(void)
{
	static char found[600];
	char exe[512], source[512];
	if (*found)
		return found;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2 && strrchr(exe, '/'); i++)
		*strrchr(exe, '/') = '\0';
	if (find_source_tree(exe, source, sizeof(source)))
		snprintf(found, sizeof(found), "%s/simnet/adapters", source);
	else
		snprintf(found, sizeof(found), "%s/share/ropewalk/adapters", exe);
	return found;
}

int source_find_adapter(const char *name, const char *beside, struct adapter *out, struct errbuf *eb)
{
	const char *env = getenv("SIMNET_ADAPTERS"), *slash = beside ? strrchr(beside, '/') : NULL;
	char here[512] = ".", path[700];
	const char *own = own_adapters();
	const char *const dirs[] = { here, env ? env : here, own };

	if (slash && (size_t)(slash - beside) < sizeof(here))
		snprintf(here, sizeof(here), "%.*s", slash == beside ? 1 : (int)(slash - beside), beside);
	if (strchr(name, '/') || name[0] == '.')
		return err_say(eb, ERR_MALFORMED, "'%s' is not the name of an adapter", name);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s.yaml", dirs[i], name);
		if (access(path, R_OK) == 0 && !names_scenario(path))
			return source_read_adapter(path, out, NULL, eb);
	}
	return err_say(eb, ERR_MALFORMED,
		"no adapter '%s': no %s.yaml beside the scenario, in $SIMNET_ADAPTERS or in %s; a program "
		"without an "
		"adapter is a list: run: [%s, …]",
		name, name, own, name);
}

static int path_beside(const char *scenario, const char *name, char *path, size_t cap, struct errbuf *eb)
{
	const char *slash = strrchr(scenario, '/');

	if (name[0] == '/' || !strncmp(name, "../", 3) || strstr(name, "/../"))
		return err_say(eb, ERR_MALFORMED, "'%.200s' is not in the scenario's folder", name);
	snprintf(path, cap, "%.*s%s", slash ? (int)(slash - scenario + 1) : 0, scenario, name);
	return 0;
}

int source_has_beside(const char *scenario, const char *name, struct errbuf *eb)
{
	char path[1024];
	struct stat st;
	int err = path_beside(scenario, name, path, sizeof(path), eb);

	if (err)
		return err;
	if (stat(path, &st) < 0)
		return err_say(eb, -errno, "no file '%.200s' in the scenario's folder%s", name,
			strchr(name, '{') ? "; 'from' is taken as it stands, without templates" : "");
	if (!S_ISREG(st.st_mode))
		return err_say(eb, -EISDIR, "'%.200s' is no file", name);
	if (st.st_size > SOURCE_BESIDE_MAX)
		return err_say(
			eb, ERR_TOO_LARGE, "'%.200s' is larger than %d bytes", name, SOURCE_BESIDE_MAX);
	return access(path, R_OK) < 0 ? err_set(eb, -errno, "read '%.200s'", name) : 0;
}

int source_read_beside(const char *scenario, const char *name, struct buf *out, struct errbuf *eb)
{
	char path[1024];
	int err = path_beside(scenario, name, path, sizeof(path), eb);

	return err ? err : file_read(path, out->cap, out, eb);
}
