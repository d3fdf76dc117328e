#include "mesh/os/prompt.h"

#include "mesh/base/key.h"
#include "mesh/os/terminal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Without the line's end. On a terminal it is not shown. */
static int read_line(const char *prompt, size_t min, size_t max, char *out, struct errbuf *eb)
{
	bool terminal = terminal_begin(TERMINAL_HIDDEN);
	if (terminal)
		fprintf(stderr, "%s: ", prompt);
	bool got = fgets(out, (int)max + 2, stdin);
	if (terminal) {
		fputs("\n", stderr);
		terminal_end();
	}
	if (!got)
		return err_say(eb, -EINVAL, "no password on standard input");
	size_t len = strcspn(out, "\r\n");
	if (!out[len] && len > max)
		return err_say(eb, -EINVAL, "a password has %zu bytes at most", max);
	out[len] = 0;
	return len >= min ? 0 : err_say(eb, -EINVAL, "a password has %zu characters at least", min);
}

int prompt_password(size_t min, size_t max, char *out, struct errbuf *eb)
{
	char *again = isatty(STDIN_FILENO) ? calloc(1, max + 2) : NULL;
	int err = read_line("Password", min, max, out, eb);
	if (!err && again) {
		err = read_line("Again", min, max, again, eb);
		if (!err && strcmp(out, again) != 0)
			err = err_say(eb, -EINVAL, "these are two passwords: nothing was changed");
	}
	if (again)
		key_wipe(again, max + 2);
	free(again);
	return err;
}
