#include "mesh/control/noise_key.h"

#include "mesh/base/buf.h"
#include "mesh/os/file.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_FILE_MAX = 4096 };

int noise_key_save(const char *path, const struct machine_private *key, struct errbuf *eb)
{
	char text[KEY_TEXT + 1];
	key_format(key->b, "privkey:", text);
	size_t len = strlen(text);
	text[len++] = '\n';
	int err = file_write_atomic(path, 0600, text, len, eb);
	key_wipe(text, sizeof(text));
	return err;
}

int noise_key_load(const char *path, struct machine_private *out, bool *made, struct errbuf *eb)
{
	struct buf text = { 0 };
	int err = file_read_own(path, KEY_FILE_MAX, FILE_PRIVATE, &text, eb);
	*made = err == -ENOENT;
	if (*made) {
		key_generate(&random_system, out->b);
		err = 0;
	} else if (!err) {
		while (text.len && strchr(" \r\n\t", buf_data(&text)[text.len - 1]))
			text.len--;
		if (!buf_cstr(&text) || !key_parse(buf_cstr(&text), "privkey:", out->b) ||
			key_is_zero(out->b))
			err = err_say(eb, ERR_MALFORMED,
				"%s is not a private key (privkey: and 64 hex digits): restore it from a "
				"backup; with another key every node must be set up again",
				path);
	}
	buf_wipe(&text);
	return err;
}

int noise_key_check(const char *path, const char *database, struct errbuf *eb)
{
	struct stat st;
	if (stat(database, &st) == 0 ? st.st_size > 0 : errno != ENOENT)
		return 0;
	return err_say(eb, ERR_REFUSED,
		"the key of this server is there (%s), but its database %s is not: restore that from a "
		"backup; to "
		"begin a new network, remove the key too",
		path, database);
}
