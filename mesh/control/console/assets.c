#include "mesh/control/console/assets.h"

#include "mesh/base/blake2s.h"
#include "mesh/base/key.h"
#include <string.h>

#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE "text/css; charset=utf-8"

/* NAME(file, symbol, type, whether the first page needs it); CMakeLists.txt has the same files. */
#define FILES(NAME) \
	NAME("style.css", style, STYLE, false) \
	NAME("app.js", app, SCRIPT, false) \
	NAME("api.js", api, SCRIPT, true) \
	NAME("dom.js", dom, SCRIPT, true) \
	NAME("live.js", live, SCRIPT, true) \
	NAME("pages.js", pages, SCRIPT, true) \
	NAME("machines.js", machines, SCRIPT, true) \
	NAME("machine.js", machine, SCRIPT, false) \
	NAME("add.js", add, SCRIPT, true) \
	NAME("approvals.js", approvals, SCRIPT, false) \
	NAME("diff.js", diff, SCRIPT, false) \
	NAME("dns.js", dns, SCRIPT, false) \
	NAME("editor.js", editor, SCRIPT, false) \
	NAME("first.js", first, SCRIPT, false) \
	NAME("keys.js", keys, SCRIPT, false) \
	NAME("log.js", log, SCRIPT, false) \
	NAME("relays.js", relays, SCRIPT, false) \
	NAME("rules.js", rules, SCRIPT, false) \
	NAME("table.js", table, SCRIPT, false) \
	NAME("users.js", users, SCRIPT, false)

#define DECLARE(file, symbol, type, at_once) \
	extern const unsigned char console_##symbol[]; \
	extern const size_t console_##symbol##_len;
#define ROW(file, symbol, type, at_once) { file, type, console_##symbol, &console_##symbol##_len, at_once },
FILES(DECLARE)
const struct console_asset console_assets[] = { FILES(ROW) { .name = NULL } };

const struct console_asset *console_asset_find(const char *name)
{
	for (const struct console_asset *a = console_assets; a->name; a++)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

void console_asset_tag(const struct console_asset *a, char out[static CONSOLE_TAG])
{
	uint8_t hash[32];
	blake2s_hash(&(struct noise_part) { a->bytes, *a->len }, 1, hash);
	out[0] = '"';
	hex_encode(hash, 8, out + 1);
	memcpy(out + 17, "\"", 2);
}
