/* `admins create` and `admins password`: the password is asked for, or comes as a line of standard input, and leaves this
 * process as a hash alone. */
#include "mesh/base/key.h"
#include "mesh/control/cli/cli.h"
#include "mesh/control/control.h"
#include "mesh/os/prompt.h"
#include "mesh/web/password.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int ask_password(char hash[static PASSWORD_HASH], struct errbuf *eb)
{
	char password[PASSWORD_MAX + 2] = "";
	int err = prompt_password(PASSWORD_MIN, PASSWORD_MAX, password, eb);
	if (!err && !password_make(password, hash))
		err = err_set(eb, -ENOMEM, "hash the password");
	key_wipe(password, sizeof(password));
	return err;
}

static int run(const struct options *o, const char *what, const char *name, struct errbuf *eb)
{
	char hash[PASSWORD_HASH];
	json_t *answer = NULL;
	if (ask_password(hash, eb))
		return cli_complain(o, CONTROL_FAILED, eb->text);
	int code = ask_call(o, what, json_pack("{s:s,s:s}", "name", name, "hash", hash), &answer, eb);
	key_wipe(hash, sizeof(hash));
	if (code == CONTROL_OK && o->json)
		cli_print_json(answer);
	else if (code == CONTROL_OK)
		printf("%s can log in at the server's /login\n", name);
	json_decref(answer);
	return code;
}

int admins_run_create(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	(void)n;
	return run(o, "admins/create", words[0], eb);
}

int admins_run_password(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	(void)n;
	return run(o, "admins/password", words[0], eb);
}
