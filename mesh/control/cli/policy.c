/* `policy`: files and what the server has. check needs no server; all others ask it. */
#include "mesh/control/cli/cli.h"

#include "mesh/base/buf.h"
#include "mesh/base/text.h"
#include "mesh/control/config/config.h"
#include "mesh/control/control.h"
#include "mesh/control/policy/source.h"
#include "mesh/os/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SENTENCE_MAX = 640 };

/* An error of a file: what is said of a place in it stands right behind its name. */
static int complain_file(const struct options *o, const char *path, const char *text)
{
	char sentence[SENTENCE_MAX];
	bool place = text[0] >= '0' && text[0] <= '9';
	snprintf(sentence, sizeof(sentence), "%.200s:%s%s", path, place ? "" : " ", text);
	return cli_complain(o, CONTROL_FAILED, sentence);
}

/* "-": standard input. */
static int read_policy_file(const char *path, struct buf *out, struct errbuf *eb)
{
	if (strcmp(path, "-") != 0)
		return file_read(path, POLICY_BYTES_MAX, out, eb);
	char piece[4096];
	for (size_t n; (n = fread(piece, 1, sizeof(piece), stdin)) > 0;)
		if (out->len + n > POLICY_BYTES_MAX || !buf_append(out, piece, n))
			return err_say(eb, ERR_MALFORMED, "standard input: too long for a policy");
	return 0;
}

int policy_run_check(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct control_config c = { 0 };
	struct buf text = { 0 };
	struct policy_source *p = NULL;
	const char *path = n ? words[0] : NULL;
	char sentence[SENTENCE_MAX];
	if (!path && config_read(o->config, &c, eb))
		return cli_complain(o, CONTROL_FAILED, eb->text);
	path = path ? path : c.policy_path;
	int code = CONTROL_OK;
	if (!n && c.policy_database)
		snprintf(sentence, sizeof(sentence),
			"the policy is in the database (policy.mode in %s): `policy test` asks the server",
			o->config);
	else if (!*path)
		snprintf(
			sentence, sizeof(sentence), "no policy.path in %s: everything is allowed", o->config);
	else if (!read_policy_file(path, &text, eb) &&
		 (p = policy_source_new((char *)buf_data(&text), text.len, eb)) &&
		 !policy_test(p->rules, NULL, eb))
		snprintf(sentence, sizeof(sentence), "%.256s: good", path);
	else
		code = complain_file(o, path, eb->text);
	if (code == CONTROL_OK)
		printf(o->json ? "{\"ok\":true}\n" : "%s\n", sentence);
	policy_source_put(p);
	buf_free(&text);
	config_free(&c);
	return code;
}

int policy_run_get(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	json_t *answer;
	(void)words;
	(void)n;
	int code = ask_call(o, "policy/get", json_object(), &answer, eb);
	const char *text = json_string_value(json_object_get(answer, "policy"));
	if (code)
		return code;
	if (o->json)
		cli_print_json(answer);
	else
		fputs(text ? text : "", stdout);
	if (!o->json && !(text && *text))
		fprintf(stderr, "ropewalk-control: there is no policy: everything is allowed\n");
	else if (!o->json && isatty(STDERR_FILENO))
		fprintf(stderr,
			"ropewalk-control: to set a change of exactly this: policy set --if-match %s FILE\n",
			json_string_value(json_object_get(answer, "etag")));
	json_decref(answer);
	return CONTROL_OK;
}

/* What the server says of this text; the answer is the caller's. */
static int try_text(
	const struct options *o, const char *path, struct buf *text, json_t **answer, struct errbuf *eb)
{
	*answer = NULL;
	if (read_policy_file(path, text, eb) || !buf_append(text, "", 1))
		return cli_complain(o, CONTROL_FAILED, eb->text);
	struct policy_source *p = policy_source_new((char *)buf_data(text), text->len - 1, eb);
	if (!p) /* said with the file's name, and the server is spared */
		return complain_file(o, path, eb->text);
	policy_source_put(p);
	json_t *args = json_pack("{s:s}", "policy", (char *)buf_data(text));
	return ask_call(o, "policy/test", args, answer, eb);
}

static void print_names(const json_t *names)
{
	enum { NAMES_MAX = 6 };
	json_t *name;
	size_t i, n = json_array_size(names);
	char text[256];
	json_array_foreach(names, i, name)
	{
		snprintf(text, sizeof(text), "%s", json_string_value(name));
		text_clean(text); /* nodes choose their names */
		if (i < NAMES_MAX)
			printf("%s%s", i ? ", " : "", text);
	}
	if (n > NAMES_MAX)
		printf(" and %zu more", n - NAMES_MAX);
}

/* "laptop, phone -> web: tcp 22"; from is empty where it is about the nodes of `to` alone. */
static void print_reach(const json_t *row)
{
	const json_t *from = json_object_get(row, "from");
	print_names(from);
	printf("%s", json_array_size(from) ? " -> " : "");
	print_names(json_object_get(row, "to"));
	printf(": %s\n", json_string_value(json_object_get(row, "what")));
}

/* "+ laptop, phone -> web: tcp 22" */
static void print_changes(const json_t *changes)
{
	json_t *one;
	size_t i;
	if (!json_array_size(changes))
		printf("changes nothing for the nodes that there are\n");
	json_array_foreach(changes, i, one)
	{
		const char *change = json_string_value(json_object_get(one, "change")),
			   *what = json_string_value(json_object_get(one, "what"));
		if (!what) {
			printf("... and more\n");
			continue;
		}
		printf("%s ", change && *change == 'g' ? "+" : "-");
		print_reach(one);
	}
}

int policy_run_reach(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct buf text = { 0 };
	json_t *answer = NULL, *row;
	size_t i;
	if (n && (read_policy_file(words[0], &text, eb) || !buf_append(&text, "", 1)))
		return cli_complain(o, CONTROL_FAILED, eb->text);
	json_t *args = n ? json_pack("{s:s}", "policy", (char *)buf_data(&text)) : json_object();
	int code = ask_call(o, "policy/reach", args, &answer, eb);
	buf_free(&text);
	if (code)
		return code;
	if (o->json)
		cli_print_json(answer);
	else if (!json_array_size(answer))
		printf("nobody reaches anybody\n");
	else
		json_array_foreach(answer, i, row)
		{
			if (json_object_get(row, "to"))
				print_reach(row);
			else
				printf("... and more\n");
		}
	json_decref(answer);
	return code;
}

int policy_run_test(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct buf text = { 0 };
	json_t *answer, *now = NULL;
	int code = CONTROL_OK;
	if (n)
		code = try_text(o, words[0], &text, &answer, eb);
	else if (!(code = ask_call(o, "policy/get", json_object(), &now, eb)))
		code = ask_call(o, "policy/test",
			json_pack("{s:O}", "policy", json_object_get(now, "policy")), &answer, eb);
	if (code == CONTROL_OK && o->json)
		cli_print_json(answer);
	else if (code == CONTROL_OK) {
		printf("%s: good\n", n ? words[0] : "the policy in force");
		if (n)
			print_changes(json_object_get(answer, "changes"));
	}
	if (code == CONTROL_OK)
		json_decref(answer);
	json_decref(now);
	buf_free(&text);
	return code;
}

/* Asks who sits there; nobody does: yes. */
static bool may_save(const struct options *o)
{
	char line[16] = "";
	if (o->yes || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	fprintf(stderr, "save this? [y/N] ");
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

int policy_run_set(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	struct buf text = { 0 };
	json_t *tried, *answer;
	const char *who = getenv("SUDO_USER");
	(void)n;
	int code = try_text(o, words[0], &text, &tried, eb);
	if (code == CONTROL_OK && !o->json)
		print_changes(json_object_get(tried, "changes"));
	if (code == CONTROL_OK && !may_save(o)) {
		json_decref(tried);
		code = cli_complain(o, CONTROL_FAILED, "not saved");
	} else if (code == CONTROL_OK) {
		/* what was shown is what is replaced, and no other */
		json_t *args = json_pack("{s:s, s:s, s:s}", "policy", (char *)buf_data(&text), "if_tag",
			o->if_match ? o->if_match : json_string_value(json_object_get(tried, "etag")),
			"author",
			who		 ? who
			: getenv("USER") ? getenv("USER")
					 : "root");
		json_decref(tried);
		code = ask_call(o, "policy/set", args, &answer, eb);
		if (code == CONTROL_OK && o->json)
			cli_print_json(answer);
		else if (code == CONTROL_OK)
			printf("saved as version %lld\n",
				(long long)json_integer_value(json_object_get(answer, "version")));
		if (code == CONTROL_OK)
			json_decref(answer);
	}
	buf_free(&text);
	return code;
}

int policy_run_history(const struct options *o, const char **words, int n, struct errbuf *eb)
{
	json_t *answer;
	uint64_t version = 0;
	if (n && !text_u64(words[0], 1, INT64_MAX, &version))
		return cli_complain(o, CONTROL_USAGE, "policy history: the version is a number of the list");
	int code = ask_call(
		o, "policy/history", json_pack("{s:I}", "version", (json_int_t)version), &answer, eb);
	if (code)
		return code;
	if (o->json)
		cli_print_json(answer);
	else if (n)
		fputs(json_string_value(json_object_get(answer, "policy")), stdout);
	else
		cli_print_table(answer, "version set author bytes");
	json_decref(answer);
	return CONTROL_OK;
}
