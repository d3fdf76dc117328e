/* `invite`: the line goes to standard output alone, so that a program can take it; what to do with it, and the code to
 * photograph, to a terminal. */
#include "mesh/control/cli/cli.h"
#include "mesh/control/control.h"
#include "mesh/os/qr.h"
#include <stdio.h>
#include <unistd.h>

#define DAY_MS (UINT64_C(24) * 3600 * 1000)

static const char *text_of(const char *s)
{
	return s ? s : "";
}

static void tell(const json_t *answer, const char *line)
{
	const char *expiry = json_string_value(json_object_get(answer, "expiry"));
	bool many = json_is_true(json_object_get(answer, "reusable"));
	printf("%s\n", line);
	fflush(stdout);
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\nOn the machine: ropewalk join LINE. It is good for %s, %s%s.\n",
		many ? "as many machines as you like" : "one machine", expiry ? "until " : "for ever",
		text_of(expiry));
	qr_print(line, QR_AUTO, stderr);
}

int invite_run(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	json_t *answer = NULL;
	(void)words;
	(void)n;
	json_t *args = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b}", "user", text_of(o->user), "tags",
		text_of(o->tags), "name", text_of(o->name), "expiration_ms",
		(json_int_t)(o->expiration_ms == LIFETIME_NOT_SAID ? DAY_MS : o->expiration_ms), "reusable",
		o->reusable, "ephemeral", o->ephemeral, "create_user", o->create_user);
	int code = ask_call(o, "invite", args, &answer, eb);
	const char *line = json_string_value(json_object_get(answer, "line"));
	if (answer && o->json)
		cli_print_json(answer);
	else if (line)
		tell(answer, line);
	json_decref(answer);
	return code;
}
