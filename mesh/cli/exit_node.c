#include "mesh/cli/api.h"
#include "mesh/cli/verbs.h"
#include "mesh/proto/json.h"
#include <string.h>

struct options {
	struct cli_common common;
};
static const struct opt_row rows[] = { CLI_ROWS_COMMON(struct options) };

static const char *state_of(const struct api_peer *p)
{
	return p->exit_node ? "in use" : p->online ? "-" : "offline";
}

/* Without the last dot. */
static int name_length(const struct api_peer *p)
{
	size_t len = strlen(p->dns_name);
	return (int)(len && p->dns_name[len - 1] == '.' ? len - 1 : len);
}

static void print_exit(struct cli *c, const struct api_peer *p, bool first)
{
	struct buf b = { 0 };
	struct json_out o = { .to = &b };
	char ip[ADDR_TEXT] = "-";
	if (p->n_ips)
		addr_format(&p->ips[0], ip);
	if (!c->json) {
		fprintf(c->out, "%-39s  %-40.*s  %s\n", ip, name_length(p), p->dns_name, state_of(p));
		return;
	}
	json_put(&o, first ? "{\"ID\":" : ",{\"ID\":");
	json_put_string(&o, p->stable_id);
	json_put(&o, ",\"Name\":");
	json_put_string(&o, p->dns_name);
	json_put(&o, ",\"IP\":");
	json_put_string(&o, ip);
	json_put(&o, p->online ? ",\"Online\":true" : ",\"Online\":false");
	json_put(&o, p->exit_node ? ",\"InUse\":true}" : ",\"InUse\":false}");
	fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

static int list_exits(struct cli *c)
{
	struct arena a = { 0 };
	struct api_status s;
	size_t n = 0;
	int code = api_status(c, &a, &s);
	if (code == CLI_OK && c->json)
		fputc('[', c->out);
	for (size_t i = 0; code == CLI_OK && i < s.n_peers; i++)
		if (s.peers[i].exit_node_option)
			print_exit(c, &s.peers[i], !n++);
	if (code == CLI_OK && c->json)
		fputs("]\n", c->out);
	else if (code == CLI_OK && !n)
		code = cli_fail(c, CLI_FAILED, "no-exit",
			"A machine offers to be one by ropewalk set --advertise-exit-node, and the server "
			"approves it.",
			"no machine of this network may be an exit");
	arena_free(&a);
	return code;
}

static int suggest_exit(struct cli *c)
{
	struct api_request r = { .method = "GET", .target = "/localapi/v0/suggest-exit-node" };
	json_t *doc;
	int code = api_call_json(c, &r, &doc);
	const char *name = json_string_value(json_member(doc, "Name"));
	if (code == CLI_OK && c->json) {
		(void)json_dumpf(doc, c->out, JSON_COMPACT);
		fputc('\n', c->out);
	} else if (code == CLI_OK && name)
		fprintf(c->out, "%.*s\nTo use it: ropewalk set --exit-node=%.*s\n", (int)strcspn(name, " "),
			name, (int)strcspn(name, "."), name);
	else if (code == CLI_OK)
		code = cli_fail(
			c, CLI_FAILED, "answer", NULL, "ropewalkd gave an answer that cannot be read");
	json_decref(doc);
	return code;
}

static int exit_node_run(struct cli *c, const void *options, const char *const *words, int n)
{
	(void)options;
	if (n && strcmp(words[0], "suggest") == 0)
		return suggest_exit(c);
	if (n && strcmp(words[0], "list") == 0)
		return list_exits(c);
	return cli_fail(c, CLI_USAGE, "usage", NULL, "exit-node list, or exit-node suggest");
}

const struct cli_verb verb_exit_node = {
	.man = { "exit-node", "list|suggest", "show which machines may be an exit, or the nearest of them",
		"An exit carries all that a machine says to the internet. ropewalk set --exit-node=NAME uses "
		"one, "
		"ropewalk set --exit-node= none.\n\nsuggest names the one whose home relay is nearest to "
		"this "
		"machine, of "
		"those that are online.",
		rows },
	.options_size = sizeof(struct options),
	.max_words = 1,
	.run = exit_node_run,
};
