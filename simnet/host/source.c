#include "simnet/host/source.h"

#include "mesh/os/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20 };

int source_read_scenario(const char *path, size_t variant, struct scenario *out, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read(path, FILE_BYTES_MAX, &text, eb);
	if (!err)
		err = scenario_parse(path, (const char *)buf_data(&text), text.len, variant, out, eb);
	buf_free(&text);
	return err;
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

int source_find_adapter(const char *name, const char *beside, struct adapter *out, struct errbuf *eb)
{
	const char *env = getenv("SIMNET_ADAPTERS"), *slash = beside ? strrchr(beside, '/') : NULL;
	char here[512] = ".", path[700];
	const char *const dirs[] = { here, env ? env : here, SIMNET_SOURCE_ADAPTERS, SIMNET_ADAPTERS };

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
