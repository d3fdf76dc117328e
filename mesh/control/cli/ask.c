/* Admin verbs: the question to the running server, and its answer as text or JSON. */
#include "mesh/control/cli/cli.h"

#include "mesh/base/text.h"
#include "mesh/control/config/config.h"
#include "mesh/control/control.h"
#include "mesh/os/loop.h"
#include "mesh/proto/json.h"
#include "mesh/transport/http.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_MAX = 512, COLUMNS_MAX = 10, ANSWER_MAX = 64 * 1024 * 1024 };

/* --- printing --- */

static void put_scalar(const json_t *v, char *out, size_t cap)
{
	out[0] = 0;
	if (json_is_string(v))
		snprintf(out, cap, "%s", json_string_value(v));
	else if (json_is_integer(v))
		snprintf(out, cap, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(out, cap, "%.1f", json_real_value(v));
	else if (json_is_boolean(v))
		snprintf(out, cap, "%s", json_is_true(v) ? "yes" : "no");
}

/* "udp=yes latency_ms.1=3.2": what is not known is left out. out has text already. */
static void put_members(json_t *o, const char *prefix, char out[static CELL_MAX])
{
	const char *name;
	json_t *v;
	json_object_foreach(o, name, v)
	{
		char text[64];
		size_t len = strlen(out);
		put_scalar(v, text, sizeof(text));
		if (*text)
			snprintf(out + len, CELL_MAX - len, "%s%s%s=%s", len ? " " : "", prefix, name, text);
	}
}

static void put_object(json_t *o, char out[static CELL_MAX])
{
	char prefix[64];
	const char *name;
	json_t *v;
	put_members(o, "", out);
	json_object_foreach(o, name, v)
	{
		snprintf(prefix, sizeof(prefix), "%s.", name);
		if (json_is_object(v))
			put_members(v, prefix, out);
	}
}

static void cell(json_t *v, char out[static CELL_MAX])
{
	size_t i;
	json_t *item;
	put_scalar(v, out, CELL_MAX);
	if (json_is_object(v))
		put_object(v, out);
	json_array_foreach(v, i, item)
	{
		size_t len = strlen(out);
		snprintf(out + len, CELL_MAX - len, "%s%s", i ? " " : "",
			json_is_string(item) ? json_string_value(item) : "");
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

void cli_print_table(const json_t *list, const char *columns)
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

void cli_print_json(const json_t *answer)
{
	char *line = json_dumps(answer, JSON_COMPACT);
	printf("%s\n", line ? line : "null");
	free(line);
}

static void print_answer(const struct options *o, const struct verb *v, json_t *answer)
{
	if (o->json)
		cli_print_json(answer);
	else if (v->columns)
		cli_print_table(answer, v->columns);
	else if (json_object_get(answer, "key"))
		printf("%s\n", json_string_value(json_object_get(answer, "key")));
	else
		print_fields(answer);
}

/* --- asking the server --- */

struct ask {
	struct loop *loop;
	const struct options *o;
	const char *socket;
	json_t *answer;
	int code;
};

/* All that is wrong, where the server says more than the first of it; of JSON one document. */
static int complain_of(const struct options *o, const json_t *answer, const char *first)
{
	const json_t *all = json_object_get(json_object_get(answer, "error"), "all"), *one;
	size_t i;
	if (o->json || json_array_size(all) < 2)
		return cli_complain(o, CONTROL_FAILED, first);
	json_array_foreach(all, i, one)(void)
		cli_complain(o, CONTROL_FAILED, json_is_string(one) ? json_string_value(one) : "");
	return CONTROL_FAILED;
}

/* 500 with an answer: of a server that is not well. */
static void ask_answered(void *arg, const struct http_head *head, const uint8_t *body, size_t len)
{
	struct ask *a = arg;
	json_t *answer = json_open((const char *)body, len, &json_of_own_daemon, NULL);
	const char *error = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	if (answer && !json_object_get(answer, "error") && (head->status == 200 || head->status == 500)) {
		a->answer = json_incref(answer);
		a->code = head->status == 200 ? CONTROL_OK : CONTROL_FAILED;
	} else {
		a->code = complain_of(a->o, answer,
			error ? error : "the server's answer makes no sense; are both of one version?");
	}
	json_decref(answer);
	loop_stop(a->loop);
}

void ask_not_running(const char *socket, char *text, size_t cap)
{
	bool unit = strcmp(socket, CONFIG_SOCKET) == 0;
	snprintf(text, cap,
		"the server is not running (nobody answers on %s): start it with %s`ropewalk-control serve "
		"-c FILE`, and give "
		"the same -c here",
		socket,
		unit ? "`systemctl start ropewalk-control` (`journalctl -u ropewalk-control` says why it is "
		       "not there), or "
		     : "");
}

static void not_answered(void *arg, int code, const char *why)
{
	struct ask *a = arg;
	char text[512];
	if (code == -EACCES || code == -EPERM)
		snprintf(text, sizeof(text), "no permission for %s: run this as root or as the server's user",
			a->socket);
	else if (code == -ENOENT || code == -ECONNREFUSED)
		ask_not_running(a->socket, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%s: %s", a->socket, why);
	a->code = cli_complain(a->o, CONTROL_NOT_RUNNING, text);
	loop_stop(a->loop);
}

static void ask_server(struct ask *a, const char *what, const char *body)
{
	char path[64];
	snprintf(path, sizeof(path), "/v1/%s", what);
	const struct http_request rq = { .unix_path = a->socket,
		.method = "POST",
		.target = path,
		.host = "localhost",
		.body = body,
		.body_len = strlen(body),
		.body_cap = ANSWER_MAX,
		.content_type = "application/json" };
	const struct http_client_events ev = { .done = ask_answered, .failed = not_answered, .arg = a };
	if (http_request(a->loop, &rq, &ev))
		loop_run(a->loop);
	else
		cli_complain(a->o, CONTROL_FAILED, "out of memory");
}

/* *answer may be there with a code that is not 0. */
static int ask_socket(
	const struct options *o, const char *socket, const char *what, const json_t *args, json_t **answer)
{
	struct ask a = { .o = o, .socket = socket, .code = CONTROL_FAILED, .loop = loop_new() };
	char *body = json_dumps(args, JSON_COMPACT);
	if (body && a.loop)
		ask_server(&a, what, body);
	else
		cli_complain(o, CONTROL_FAILED, "out of memory");
	if (a.loop)
		loop_free(a.loop);
	free(body);
	*answer = a.answer;
	return a.code;
}

static int ask_any(
	const struct options *o, const char *what, const json_t *args, json_t **answer, struct errbuf *eb)
{
	struct control_config c = { 0 };
	*answer = NULL;
	if (!o->socket && config_read(o->config, &c, eb))
		return cli_complain(o, CONTROL_FAILED, eb->text);
	int code = ask_socket(o, o->socket ? o->socket : c.unix_socket, what, args, answer);
	config_free(&c);
	return code;
}

int ask_call(const struct options *o, const char *what, json_t *args, json_t **answer, struct errbuf *eb)
{
	int code = ask_any(o, what, args, answer, eb);
	json_decref(args);
	if (code) {
		json_decref(*answer);
		*answer = NULL;
	}
	return code;
}

static bool put_word(json_t *args, const char *word, const char *value)
{
	uint64_t number;
	char name[32];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "?"), word);
	if (*word != '#')
		return !json_object_set_new(args, name, json_string(value));
	return text_u64(value, 1, INT64_MAX, &number) &&
	       !json_object_set_new(args, word + 1, json_integer((json_int_t)number));
}

static json_t *make_args(
	const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb)
{
	json_t *args = json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:b, s:b}", "at", o->at ? o->at : "", "user",
		o->user ? o->user : "", "routes", o->routes ? o->routes : "", "tags", o->tags ? o->tags : "",
		"expiration_ms",
		(json_int_t)(o->expiration_ms == LIFETIME_NOT_SAID ? v->lifetime_ms : o->expiration_ms),
		"reusable", o->reusable, "ephemeral", o->ephemeral, "create_user", o->create_user);
	for (int i = 0; i < n; i++)
		if (!put_word(args, v->words[i], words[i])) {
			err_say(eb, -EINVAL, "%s: \"%s\" is not a number; the list shows the numbers",
				v->man.name, words[i]);
			json_decref(args);
			return NULL;
		}
	return args;
}

static bool has_text(const json_t *list, const char *text)
{
	size_t i;
	const json_t *one;
	json_array_foreach(list, i, one) if (!strcmp(json_string_value(one), text)) return true;
	return false;
}

/* Approved beforehand, or mistyped. */
static void warn_not_offered(const json_t *node)
{
	const json_t *offered = json_object_get(node, "available_routes");
	size_t i;
	const json_t *one;
	json_array_foreach(json_object_get(node, "approved_routes"), i, one)
	{
		if (!has_text(offered, json_string_value(one)))
			fprintf(stderr,
				"ropewalk-control: it does not offer %s: that has no effect until it does\n",
				json_string_value(one));
	}
}

int ask_run(const struct options *o, const struct verb *v, const char **words, int n, struct errbuf *eb)
{
	char what[64];
	size_t len = 0;
	json_t *answer = NULL, *args = make_args(o, v, words, n, eb);
	for (const char *p = v->man.name; *p && len + 1 < sizeof(what); p++)
		what[len++] = *p == ' ' ? '/' : *p;
	what[len] = 0;
	int code = args ? ask_any(o, what, args, &answer, eb) : cli_complain(o, CONTROL_USAGE, eb->text);
	if (answer)
		print_answer(o, v, answer);
	if (answer && !code && !strcmp(v->man.name, "nodes approve-routes"))
		warn_not_offered(answer);
	json_decref(answer);
	json_decref(args);
	return code;
}
