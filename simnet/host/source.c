#include "simnet/host/source.h"

#include "mesh/os/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20 };

int source_read_scenario(
	const char *path, size_t variant, struct scenario *out, struct scn_errors *all, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read(path, FILE_BYTES_MAX, &text, eb);
	if (err)
		scenario_error(all, "%s", eb->text);
	else
		err = scenario_parse_all(
			path, (const char *)buf_data(&text), text.len, variant, out, all, eb);
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

bool source_is_adapter(const char *path)
{
	struct buf text = { .cap = FILE_BYTES_MAX + 1 };
	struct errbuf eb;
	bool is = !file_read(path, FILE_BYTES_MAX, &text, &eb) && text.len &&
		  has_top_key(buf_cstr(&text), "adapter") && !has_top_key(buf_cstr(&text), "simnet");
	buf_free(&text);
	return is;
}

static int read_adapter(const char *path, struct adapter *out, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read(path, FILE_BYTES_MAX, &text, eb);
	if (!err)
		err = adapter_parse(path, (const char *)buf_data(&text), text.len, out, eb);
	buf_free(&text);
	return err;
}

/* Where this program is: DIR/bin/simnet has its adapters in DIR/share, and only one that still is where it
 * was built reads those of its source. */
static void find_own_adapters(char *out, size_t cap)
{
	char exe[512];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(exe, '/');
	if (slash)
		*slash = '\0';
	if (!strcmp(exe, SIMNET_BUILD_BIN))
		snprintf(out, cap, "%s", SIMNET_SOURCE_ADAPTERS);
	else
		snprintf(out, cap, "%s/../share/ropewalk/adapters", exe);
}

int source_find_adapter(const char *name, const char *beside, struct adapter *out, struct errbuf *eb)
{
	const char *env = getenv("SIMNET_ADAPTERS"), *slash = beside ? strrchr(beside, '/') : NULL;
	char here[512] = ".", own[600], path[700];
	const char *const dirs[] = { here, env ? env : here, own, SIMNET_ADAPTERS };

	find_own_adapters(own, sizeof(own));
	if (slash && (size_t)(slash - beside) < sizeof(here))
		snprintf(here, sizeof(here), "%.*s", slash == beside ? 1 : (int)(slash - beside), beside);
	if (strchr(name, '/') || name[0] == '.')
		return err_say(eb, ERR_MALFORMED, "'%s' is not the name of an adapter", name);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s.yaml", dirs[i], name);
		if (access(path, R_OK) == 0)
			return read_adapter(path, out, eb);
	}
	return err_say(eb, ERR_MALFORMED,
		"no adapter '%s': no %s.yaml beside the scenario, in $SIMNET_ADAPTERS or in %s; a program "
		"without an "
		"adapter is a list: run: [%s, …]",
		name, name, SIMNET_ADAPTERS, name);
}
