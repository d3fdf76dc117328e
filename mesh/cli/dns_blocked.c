#include "mesh/cli/dns_blocked.h"

#include "mesh/cli/api.h"
#include "resolver/report_text.h"
#include <stdio.h>

/* Reading a million names takes a second, on a small machine several. */
enum { SEARCH_MS = 60000 };

static void print_blocked(
	struct cli *c, const struct api_dns_blocked *m, const char *name, const char *client)
{
	struct buf b = { 0 };
	report_text_blocked(&b, m, name, client ? client : "this machine");
	fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

/* This machine blocks nothing: who does, where the network has somebody. */
static int elsewhere(struct cli *c, const struct api_dns_blocked *m)
{
	char hint[320];
	snprintf(hint, sizeof(hint), "Names come from %s; run ropewalk dns blocked there.", m->server);
	return cli_fail(c, CLI_FAILED, "no_blocking",
		*m->server ? hint : "dns.blocking on the server says which machine does.",
		"this machine blocks no names");
}

int dns_blocked_print(struct cli *c, const char *name, const char *client)
{
	char target[API_TARGET_MAX] = "/localapi/v0/dns-blocked";
	struct buf body = { 0 };
	struct arena a = { 0 };
	struct errbuf eb = { 0 };
	struct api_dns_blocked m;
	int status = 0;
	api_target_add(target, "name", name);
	if (client)
		api_target_add(target, "client", client);
	struct api_request r = { .method = "GET", .target = target, .timeout_ms = SEARCH_MS };
	int code = api_call(c, &r, &body, &status);
	if (code == CLI_OK && api_dns_blocked_read(&a, (const char *)buf_data(&body), body.len, &m, &eb))
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's answer cannot be read: %s", eb.text);
	else if (code == CLI_OK && !m.on)
		code = elsewhere(c, &m);
	else if (code == CLI_OK) {
		if (c->json)
			fprintf(c->out, "%s\n", buf_cstr(&body));
		else
			print_blocked(c, &m, name, client);
		code = m.blocked ? CLI_OK : CLI_FAILED;
	}
	buf_free(&body);
	arena_free(&a);
	return code;
}

void dns_blocking_print(FILE *to, const char *json, size_t len)
{
	struct arena a = { 0 };
	struct api_dns_blocking m;
	if (len && api_dns_blocking_read(&a, json, len, &m, NULL) == 0 && m.on) {
		fprintf(to, "Blocks names for the network: %llu by %llu lists", (unsigned long long)m.names,
			(unsigned long long)m.lists);
		if (m.pause_left_ms)
			fprintf(to, "; not for %llu s more",
				(unsigned long long)(m.pause_left_ms + 999) / 1000);
		fputs("\n", to);
	}
	arena_free(&a);
}

int dns_pause(struct cli *c, const char *time)
{
	char target[API_TARGET_MAX] = "/localapi/v0/dns-pause";
	struct buf body = { 0 };
	int status = 0;
	if (time)
		api_target_add(target, "for", time);
	int code = api_call(c, &(struct api_request) { .method = "POST", .target = target }, &body, &status);
	if (code == CLI_OK && c->json)
		fprintf(c->out, "%s\n", buf_cstr(&body));
	else if (code == CLI_OK)
		dns_blocking_print(c->out, buf_cstr(&body), body.len);
	buf_free(&body);
	return code;
}
