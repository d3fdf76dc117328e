#include "resolver/alone/migrate.h"

#include "resolver/alone/gravity.h"
#include "resolver/alone/includes.h"
#include "resolver/conf.h"
#include "resolver/convert/convert.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One that another has included before is not taken twice. */
static int file_take(struct target *t, const char *path, const char *from, unsigned *kinds, struct errbuf *eb)
{
	struct buf text = { 0 };
	struct includes *in = t->include_arg;
	enum includes_verdict v = includes_begin(in, path, &text, eb);
	if (v == INCLUDES_READ_BEFORE)
		return 0;
	int err = v == INCLUDES_REFUSED ? eb->code : 0;
	enum convert_from f = from	 ? convert_from_parse(from)
			      : text.len ? convert_guess((const char *)buf_data(&text), text.len)
					 : CONVERT_UNKNOWN;
	const char *at = text.len ? (const char *)buf_data(&text) : "";
	if (!err && f == CONVERT_DNSMASQ)
		convert_dnsmasq(t, path, at, text.len);
	else if (!err && f == CONVERT_UNBOUND)
		convert_unbound(t, path, at, text.len);
	else if (!err && f == CONVERT_PIHOLE)
		convert_pihole(t, path, at, text.len);
	else if (!err && f == CONVERT_GRAVITY)
		err = gravity_read(t, path, eb);
	else if (!err)
		err = err_say(
			eb, ERR_MALFORMED, "%s: it is not to be told whose this file is: say --from", path);
	if (f < CONVERT_UNKNOWN)
		*kinds |= 1u << f;
	if (v == INCLUDES_NEW)
		includes_leave(in);
	buf_free(&text);
	return err;
}

/* What was made is read as it will be: no file is to come out of here that does not start. */
static int made_check(const struct buf *made, struct errbuf *eb)
{
	struct conf c;
	int err = conf_read("made", (const char *)buf_data(made), made->len, &c, eb);
	if (err)
		return err;
	struct zone *z = conf_zone("made", &c, eb);
	err = z ? 0 : eb->code;
	zone_put(z);
	conf_free(&c);
	return err;
}

int migrate_run(const char *const *files, int n, const char *from, struct errbuf *eb)
{
	struct target t;
	struct buf made = { 0 };
	unsigned kinds = 0;
	int err = from && convert_from_parse(from) == CONVERT_UNKNOWN
			  ? err_say(eb, ERR_MALFORMED, "--from takes dnsmasq, unbound, pihole or gravity")
			  : 0;
	target_init(&t);
	t.include = includes_take;
	t.include_arg = calloc(1, sizeof(struct includes));
	if (!t.include_arg)
		err = err_say(eb, -ENOMEM, "memory is short");
	for (int i = 0; !err && i < n; i++)
		err = file_take(&t, files[i], from, &kinds, eb);
	if (!err) {
		convert_end(&t, kinds);
		err = target_write(&t, &made) ? 0 : err_say(eb, -ENOMEM, "memory is short");
	}
	fputs(t.said.len ? buf_cstr(&t.said) : "", stderr);
	if (!err) {
		fwrite(buf_data(&made), 1, made.len, stdout);
		fflush(stdout);
		err = made_check(&made, eb);
	}
	if (!err)
		fprintf(stderr,
			t.n_said ? "%zu lines have no counterpart, or not the same one\n"
				 : "everything has a counterpart\n",
			t.n_said);
	buf_free(&made);
	free(t.include_arg);
	target_fini(&t);
	return err;
}
