/* Admin verbs: the question to the running server, and its answer as text or JSON. */
#include "mesh/control/cli/cli.h"

#include "mesh/base/text.h"
#include "mesh/control/config/config.h"
#include "mesh/control/control.h"
#include "mesh/os/loop.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_MAX = 512, COLUMNS_MAX = 10 };

/* --- printing --- */

static void cell(const json_t *v, char out[static CELL_MAX])
{
	size_t i;
	json_t *item;
	out[0] = 0;
	if (json_is_string(v))
		snprintf(out, CELL_MAX, "%s", json_string_value(v));
	else if (json_is_integer(v))
		snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(out, CELL_MAX, "%s", json_is_true(v) ? "yes" : "no");
	else if (json_is_array(v))
		json_array_foreach(v, i, item)
		{
			size_t len = strlen(out);
			snprintf(out + len, CELL_MAX - len, "%s%s", i ? " " : "", json_string_value(item));
		}
	text_clean(out); /* nodes choose their names */
	if (!*out)
		memcpy(out, "-", 2);
}

/* Padded to so many characters; the last of a line is not. */
static void print_cell(const char *text, size_t width, bool last)
{
	size_t have = text_width(text);
	printf("%s%*s", text, last || have >= width ? 0 : (int)(width - have), "");
	fputs(last ? "\n" : "  ", stdout);
}

static void print_table(const json_t *list, const char *columns)
{
	char names[COLUMNS_MAX][24], text[CELL_MAX];
	size_t widths[COLUMNS_MAX], n = 0, i;
	json_t *row;
	for (int used; n < COLUMNS_MAX && sscanf(columns, "%23s%n", names[n], &used) == 1;
		columns += used, n++)
		widths[n] = strlen(names[n]);
	for (size_t k = 0; k < n; k++)
		json_array_foreach(list, i, row)
		{
			cell(json_object_get(row, names[k]), text);
			widths[k] = text_width(text) > widths[k] ? text_width(text) : widths[k];
		}
	for (size_t k = 0; k < n; k++)
		print_cell(names[k], widths[k], k + 1 == n);
	json_array_foreach(list, i, row) for (size_t k = 0; k < n; k++)
	{
		cell(json_object_get(row, names[k]), text);
		print_cell(text, widths[k], k + 1 == n);
	}
}

static void print_fields(const json_t *answer)
{
	const char *name;
	json_t *value;
	char text[CELL_MAX];
	size_t width = 0;
	json_object_foreach((json_t *)answer, name, value) width =
		strlen(name) > width ? strlen(name) : width;
	json_object_foreach((json_t *)answer, name, value)
	{
		cell(value, text);
		print_cell(name, width, false);
		print_cell(text, 0, true);
	}
}

static void print_answer(const struct options *o, const struct verb *v, json_t *answer)
{
	if (o->json) {
		char *line = json_dumps(answer, JSON_COMPACT);
		printf("%s\n", line ? line : "null");
		free(line);
	} else if (v->columns) {
		print_table(answer, v->columns);
	} else if (json_object_get(answer, "key")) {
		printf("%s\n", json_string_value(json_object_get(answer, "key")));
	} else {
		print_fields(answer);
	}
}

/* --- asking the server --- */

/* --- asking --- */

struct ask {
	struct loop *loop;
	const struct options *o;
	const struct verb *verb;
	const char *socket;
	int code;
};

static void ask_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct ask *a = arg;
	json_t *answer = json_loadb((const char *)body, len, 0, NULL);
	const char *error = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	if (answer && !json_object_get(answer, "error") && (head->status == 200 || head->status == 500)) {
		print_answer(a->o, a->verb, answer); /* 500: of a server that is not well */
		a->code = head->status == 200 ? CONTROL_OK : CONTROL_FAILED;
	} else {
		a->code = cli_complain(a->o, CONTROL_FAILED,
			error ? error : "the server's answer makes no sense; are both of one version?");
	}
	json_decref(answer);
	loop_stop(a->loop);
}

static void not_answered(void *arg, int code, const char *why)
{
	struct ask *a = arg;
	char text[512];
	if (code == -EACCES || code == -EPERM)
		snprintf(text, sizeof(text), "no permission for %s: run this as root or as the server's user",
			a->socket);
	else if (code == -ENOENT || code == -ECONNREFUSED)
		snprintf(text, sizeof(text),
			"the server is not running (nobody answers on %s): start it with `ropewalk-control "
			"serve -c FILE`, and give the same -c here",
			a->socket);
	else
		snprintf(text, sizeof(text), "%s: %s", a->socket, why);
	a->code = cli_complain(a->o, CONTROL_NOT_RUNNING, text);
	loop_stop(a->loop);
}

static int ask_server(struct ask *a, json_t *args)
{
	char path[64] = "/v1/";
	char *body = json_dumps(args, JSON_COMPACT);
	size_t n = strlen(path);
	for (const char *p = a->verb->man.name; *p && n + 1 < sizeof(path); p++)
		path[n++] = *p == ' ' ? '/' : *p;
	path[n] = 0;
	a->loop = loop_new();
	const struct http_request rq = { .unix_path = a->socket,
		.method = "POST",
		.target = path,
		.host = "localhost",
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.content_type = "application/json" };
	const struct http_client_events ev = { .done = ask_answered, .failed = not_answered, .arg = a };
	a->code = CONTROL_FAILED;
	if (body && a->loop && http_request(a->loop, &rq, &ev))
		loop_run(a->loop);
	else
		cli_complain(a->o, CONTROL_FAILED, "out of memory");
	if (a->loop)
		loop_free(a->loop);
	free(body);
	return a->code;
}

static bool put_word(json_t *args, const char *word, const char *value)
{
	uint64_t number;
	if (*word != '#')
		return !json_object_set_new(args, word, json_string(value));
	return text_u64(value, 1, INT64_MAX, &number) &&
	       !json_object_set_new(args, word + 1, json_integer((json_int_t)number));
}

static json_t *make_args(
	const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb)
{
	json_t *args = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b}", "user", o->user ? o->user : "",
		"routes", o->routes ? o->routes : "", "tags", o->tags ? o->tags : "", "expiration_ms",
		(json_int_t)o->expiration_ms, "reusable", o->reusable, "ephemeral", o->ephemeral,
		"create_user", o->create_user);
	for (int i = 0; i < n; i++)
		if (!put_word(args, v->words[i], words[i])) {
			err_say(eb, -EINVAL, "%s: \"%s\" is not a number; the list shows the numbers",
				v->man.name, words[i]);
			json_decref(args);
			return NULL;
		}
	return args;
}

int ask_run(const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb)
{
	struct control_config c = { 0 };
	struct ask a = { .o = o, .verb = v, .socket = o->socket };
	int code = CONTROL_FAILED;
	if (!a.socket) {
		if (config_read(o->config, &c, eb))
			return cli_complain(o, CONTROL_FAILED, eb->text);
		a.socket = c.unix_socket;
	}
	json_t *args = make_args(o, v, words, n, eb);
	code = args ? ask_server(&a, args) : cli_complain(o, CONTROL_USAGE, eb->text);
	json_decref(args);
	config_free(&c);
	return code;
}
