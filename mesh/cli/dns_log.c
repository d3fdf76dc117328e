#include "mesh/cli/dns_log.h"

#include "mesh/cli/api.h"
#include "resolver/report_text.h"
#include <inttypes.h>
#include <string.h>

enum { FOLLOW_MS = 300 };

int dns_log_switch(struct cli *c, bool on)
{
	const char *target = on ? "/localapi/v0/dns-log?on=true" : "/localapi/v0/dns-log?on=false";
	struct buf body = { 0 };
	int status = 0;
	int code = api_call(c, &(struct api_request) { .method = "POST", .target = target }, &body, &status);
	if (code == CLI_OK && !c->json)
		fputs(on ? "questions are written down, in memory, until `ropewalk dns log off` or a "
			   "restart\n"
			 : "questions are not written down; what was is forgotten\n",
			c->out);
	buf_free(&body);
	return code;
}

static int say_off(struct cli *c)
{
	return cli_fail(c, CLI_FAILED, "off", "ropewalk dns log on",
		"questions are not written down: the log is off");
}

static void question_print(struct cli *c, const struct api_dns_question *q)
{
	struct buf b = { 0 };
	report_text_question(&b, q, c->json);
	fwrite(buf_data(&b), 1, b.len, c->out);
	buf_free(&b);
}

/* What came after *last. *n: how many. */
static int log_get(struct cli *c, uint64_t *last, size_t *n)
{
	char target[API_TARGET_MAX] = "/localapi/v0/dns-log", after[24];
	struct buf body = { 0 };
	struct arena a = { 0 };
	struct api_dns_log m = { 0 };
	struct errbuf eb = { 0 };
	int status = 0;
	snprintf(after, sizeof(after), "%" PRIu64, *last);
	api_target_add(target, "after", after);
	int code = api_call(c, &(struct api_request) { .method = "GET", .target = target }, &body, &status);
	if (code == CLI_OK && api_dns_log_read(&a, (const char *)buf_data(&body), body.len, &m, &eb) != 0)
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's answer cannot be read: %s", eb.text);
	if (code == CLI_OK && !m.on)
		code = say_off(c);
	for (size_t i = 0; code == CLI_OK && i < m.n_questions; i++)
		question_print(c, &m.questions[i]);
	*last = m.last;
	*n = m.n_questions;
	fflush(c->out);
	buf_free(&body);
	arena_free(&a);
	return code;
}

static void waited(void *arg)
{
	loop_stop(arg);
}

int dns_log_print(struct cli *c, bool follow)
{
	struct loop_timer *t = loop_timer_new(c->loop, waited, c->loop);
	uint64_t last = 0;
	size_t n = 0;
	int code = t ? CLI_OK : cli_fail(c, CLI_FAILED, "memory", NULL, "out of memory");
	while (code == CLI_OK && (code = log_get(c, &last, &n)) == CLI_OK && (n || follow)) {
		if (n)
			continue;
		loop_timer_set(t, FOLLOW_MS);
		loop_run(c->loop);
	}
	loop_timer_free(t);
	return code;
}

int dns_top_print(struct cli *c)
{
	struct buf body = { 0 };
	struct arena a = { 0 };
	struct api_dns_top m = { 0 };
	struct errbuf eb = { 0 };
	int status = 0;
	int code = api_call(c, &(struct api_request) { .method = "GET", .target = "/localapi/v0/dns-top" },
		&body, &status);
	if (code == CLI_OK && api_dns_top_read(&a, (const char *)buf_data(&body), body.len, &m, &eb) != 0)
		code = cli_fail(
			c, CLI_FAILED, "malformed", NULL, "ropewalkd's answer cannot be read: %s", eb.text);
	if (code == CLI_OK && !m.on)
		code = say_off(c);
	else if (code == CLI_OK && c->json)
		fprintf(c->out, "%s\n", buf_cstr(&body));
	else if (code == CLI_OK) {
		struct buf b = { 0 };
		report_text_top(&b, &m);
		fwrite(buf_data(&b), 1, b.len, c->out);
		buf_free(&b);
	}
	buf_free(&body);
	arena_free(&a);
	return code;
}
