#include "mesh/proto/invite.h"
#include "mesh/base/blake2s.h"
#include "mesh/base/wire.h"
#include <string.h>

enum { BYTES_MAX = INVITE_LINE_MAX / 4 * 3, CHECK = 4, MAY_SKIP = 128 };
enum field { FIELD_KEY = 1, FIELD_AUTH_KEY, FIELD_NAME, FIELD_TAGS };

static const char scheme[] = "ropewalk+";

static void check_of(const char *server, const uint8_t *p, size_t len, uint8_t out[static CHECK])
{
	uint8_t hash[32];
	const struct noise_part parts[] = { { server, strlen(server) + 1 }, { p, len } };
	blake2s_hash(parts, ARRAY_LEN(parts), hash);
	memcpy(out, hash, CHECK);
}

/* --- what may stand in it --- */

/* It is shown on terminals and handed to shells: letters, digits and marks, and none of what quotes. */
static bool is_plain(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f || strchr("\"'`\\<>$|;&", *s))
			return false;
	return true;
}

static bool is_server(const char *s)
{
	size_t n = strncmp(s, "https://", 8) == 0 ? 8 : strncmp(s, "http://", 7) == 0 ? 7 : 0;
	return n && s[n] && !strchr("/:?#", s[n]) && !strpbrk(s, "@?#*") && is_plain(s);
}

static bool is_whole(const struct invite *v)
{
	return is_server(v->server) && !key_is_zero(v->key.b) && v->auth_key[0] && is_plain(v->auth_key) &&
	       is_plain(v->name) && is_plain(v->tags);
}

/* --- writing --- */

static void put_field(struct wr *w, enum field kind, const void *value, size_t len)
{
	if (!len)
		return;
	wr_u8(w, (uint8_t)kind);
	wr_u8(w, (uint8_t)len);
	wr_bytes(w, value, len);
}

bool invite_write(const struct invite *v, struct buf *out)
{
	uint8_t bytes[BYTES_MAX], check[CHECK];
	char text[INVITE_LINE_MAX + 4];
	struct wr w = wr_of(bytes, sizeof(bytes));
	if (!is_whole(v))
		return false;
	wr_u8(&w, INVITE_VERSION);
	put_field(&w, FIELD_KEY, v->key.b, KEY_LEN);
	put_field(&w, FIELD_AUTH_KEY, v->auth_key, strlen(v->auth_key));
	put_field(&w, FIELD_NAME, v->name, strlen(v->name));
	put_field(&w, FIELD_TAGS, v->tags, strlen(v->tags));
	check_of(v->server, bytes, w.len, check);
	wr_bytes(&w, check, CHECK);
	bool ok = !w.bad && base64url_text(w.len) + sizeof(scheme) + strlen(v->server) < INVITE_LINE_MAX;
	if (ok) {
		const char *rest = strstr(v->server, "://") + 3;
		ok = buf_printf(out, "%s%.*s%s@%s", scheme, (int)(rest - v->server), v->server,
			base64url_encode(bytes, w.len, text), rest);
	}
	key_wipe(bytes, sizeof(bytes));
	key_wipe(text, sizeof(text));
	return ok;
}

/* --- reading --- */

static bool take_text(struct rd value, char *out, size_t cap)
{
	if (!value.left || value.left >= cap || memchr(value.p, 0, value.left))
		return false;
	memcpy(out, value.p, value.left);
	out[value.left] = 0;
	return true;
}

static bool take_field(unsigned kind, struct rd value, struct invite *v)
{
	switch (kind) {
	case FIELD_KEY:
		if (value.left != KEY_LEN)
			return false;
		memcpy(v->key.b, value.p, KEY_LEN);
		return true;
	case FIELD_AUTH_KEY: return take_text(value, v->auth_key, sizeof(v->auth_key));
	case FIELD_NAME: return take_text(value, v->name, sizeof(v->name));
	case FIELD_TAGS: return take_text(value, v->tags, sizeof(v->tags));
	default: return kind >= MAY_SKIP;
	}
}

static int take_fields(struct rd r, struct invite *v, struct errbuf *eb)
{
	unsigned last = 0;
	while (r.left) {
		unsigned kind = rd_u8(&r);
		struct rd value = rd_sub(&r, rd_u8(&r));
		if (r.bad || kind <= last)
			return err_say(
				eb, ERR_MALFORMED, "the invitation was not made by a server of this kind");
		if (kind > FIELD_TAGS && kind < MAY_SKIP)
			return err_say(eb, ERR_VERSION,
				"the invitation asks for something that this program does not know (field "
				"%u): update "
				"it",
				kind);
		if (!take_field(kind, value, v))
			return err_say(eb, ERR_MALFORMED, "field %u of the invitation makes no sense", kind);
		last = kind;
	}
	if (!is_whole(v))
		return err_say(eb, ERR_MALFORMED,
			"the invitation lacks the server's key or an auth key, or one that could not be");
	return 0;
}

/* bytes: what stands before the @. */
static int take_bytes(const uint8_t *bytes, size_t len, struct invite *v, struct errbuf *eb)
{
	uint8_t check[CHECK];
	if (len && bytes[0] != INVITE_VERSION)
		return err_say(eb, ERR_VERSION,
			"the invitation is of format %u, and this program reads %d: update it; or the line "
			"was "
			"damaged",
			bytes[0], INVITE_VERSION);
	if (len <= CHECK)
		return err_say(eb, ERR_MALFORMED, "the invitation is too short: copy it whole");
	check_of(v->server, bytes, len - CHECK, check);
	if (memcmp(check, bytes + len - CHECK, CHECK) != 0)
		return err_say(eb, ERR_MALFORMED,
			"the invitation was damaged on its way (its check does not fit): copy it whole, once "
			"more");
	return take_fields(rd_of(bytes + 1, len - 1 - CHECK), v, eb);
}

/* What people give instead. */
static int complain_other(const char *line, struct errbuf *eb)
{
	if (!*line)
		return err_say(
			eb, ERR_MALFORMED, "there is no invitation; one begins with ropewalk+https://");
	if (strncmp(line, "http://", 7) == 0 || strncmp(line, "https://", 8) == 0)
		return err_say(eb, ERR_MALFORMED,
			"that is a URL, and no invitation: for a server alone use ropewalk up "
			"--login-server");
	if (strncmp(line, "hskey-", 6) == 0 || strncmp(line, "tskey-", 6) == 0)
		return err_say(eb, ERR_MALFORMED,
			"that is a key, and no invitation: use ropewalk up --login-server URL --auth-key "
			"KEY");
	return err_say(eb, ERR_MALFORMED, "an invitation begins with ropewalk+https:// or ropewalk+http://");
}

/* line: without white space. */
static int take_line(char *line, struct invite *v, struct errbuf *eb)
{
	uint8_t bytes[BYTES_MAX];
	if (strncmp(line, scheme, sizeof(scheme) - 1) != 0)
		return complain_other(line, eb);
	char *url = line + sizeof(scheme) - 1;
	size_t n = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
	char *at = n ? strchr(url, '@') : NULL;
	if (!n)
		return complain_other("?", eb);
	if (!at)
		return err_say(eb, ERR_MALFORMED,
			"the invitation was cut: no server stands behind an @ at its end; copy it whole");
	if (n + strlen(at + 1) >= sizeof(v->server))
		return err_say(eb, ERR_TOO_LARGE, "the invitation's server has too long a name");
	memcpy(v->server, url, n);
	strcpy(v->server + n, at + 1);
	if (!is_server(v->server))
		return err_say(eb, ERR_MALFORMED, "what stands behind the @ of the invitation is no server");
	long len = base64url_decode(url + n, (size_t)(at - url) - n, bytes, sizeof(bytes));
	int err = len < 0 ? err_say(eb, ERR_MALFORMED,
				    "the invitation was damaged on its way (a letter is missing, or does not "
				    "belong): copy it whole, once more")
			  : take_bytes(bytes, (size_t)len, v, eb);
	key_wipe(bytes, sizeof(bytes));
	return err;
}

int invite_read(const char *text, size_t len, struct invite *out, struct errbuf *eb)
{
	char line[INVITE_LINE_MAX];
	struct invite v = { 0 };
	size_t n = 0;
	bool fits = true;
	for (size_t i = 0; i < len && fits; i++) {
		if (text[i] && strchr(" \t\r\n", text[i]))
			continue;
		if (n + 1 == sizeof(line) || !text[i])
			fits = false;
		else
			line[n++] = text[i];
	}
	line[n] = 0;
	int err = fits ? take_line(line, &v, eb)
		       : err_say(eb, ERR_TOO_LARGE, "that is too long for an invitation, or no text");
	if (!err)
		*out = v;
	invite_wipe(&v);
	key_wipe(line, sizeof(line));
	return err;
}

void invite_wipe(struct invite *v)
{
	key_wipe(v, sizeof(*v));
}
