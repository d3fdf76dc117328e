#include "simnet/command.h"

#include "mesh/base/text.h"
#include "simnet/scenario/nat_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `simnet new --wizard`: a scenario from the answers to five questions. Questions go to standard error, the file to standard
 * output. Each has an answer that an empty line takes. */

enum { ANSWER_MAX = 400 };
struct answers {
	char server[ANSWER_MAX], port[ANSWER_MAX], client[ANSWER_MAX], nat[ANSWER_MAX], event[ANSWER_MAX];
};

/* What may happen between the first try and the second. */
static const struct event {
	const char *word, *about, *steps;
} events[] = {
	{ "nothing", "it is tried once", NULL },
	{ "reset", "the router loses its memory", "  - reset: home\n" },
	{ "cut", "the way out is cut, and heals",
		"  - cut: home.link\n"
		"  - ping: {from: client, to: server, fails: true, within: 500ms}\n"
		"  - heal: home.link\n" },
	{ "sleep", "the client sleeps for 2 s", "  - sleep: {at: client, for: 2s}\n" },
	{ "move", "the client goes to another network", "  - move: {at: client, to: elsewhere}\n" },
	{ "restart", "the server is killed and starts again", "  - kill: server\n  - spawn: server\n" },
};

/* *whole: nothing of the line is left out. */
static bool read_line(char out[static ANSWER_MAX], bool *whole)
{
	*whole = true;
	if (!fgets(out, ANSWER_MAX, stdin))
		return false;
	size_t n = strlen(out);
	if (n && out[n - 1] == '\n')
		out[--n] = '\0';
	else if (n == ANSWER_MAX - 1)
		for (int c; (c = getchar()) != '\n' && c != EOF;)
			*whole = false;
	while (n && strchr(" \t\r", out[n - 1]))
		out[--n] = '\0';
	return true;
}

static bool is_utf8(const char *text)
{
	size_t n = 1;
	for (uint32_t c; *text && n; text += n)
		n = text_utf8((const uint8_t *)text, strlen(text), &c);
	return n;
}

/* names: the answers that there are, the first is the usual one; NULL: anything but a usual one. */
static bool ask(
	const char *question, const char *usual, const char *const *names, char out[static ANSWER_MAX])
{
	for (;;) {
		fprintf(stderr, "%s [%s]: ", question, usual);
		bool whole;
		if (!read_line(out, &whole))
			return false;
		if (!whole) {
			fprintf(stderr, "  that is longer than %d bytes\n", ANSWER_MAX - 1);
			continue;
		}
		if (!*out)
			snprintf(out, ANSWER_MAX, "%s", names ? usual : "");
		const char *near = names ? text_nearest(out, names) : NULL;
		for (size_t i = 0; names && names[i]; i++)
			if (!strcmp(out, names[i]))
				return true;
		if (!names && strspn(out, " ") == strlen(out))
			*out = '\0';
		if (!names && is_utf8(out))
			return true;
		if (!names) {
			fprintf(stderr, "  that is no text in UTF-8\n");
			continue;
		}
		fprintf(stderr, "  '%s' is none of them%s%s%s\n", out, near ? "; did you mean '" : "",
			near ? near : "", near ? "'?" : "");
	}
}

static bool ask_port(char out[static ANSWER_MAX])
{
	for (uint64_t port;;) {
		if (!ask("2  The TCP port at which it listens", "80", NULL, out))
			return false;
		if (!*out)
			snprintf(out, ANSWER_MAX, "80");
		if (text_u64(out, 1, 65535, &port))
			return true;
		fprintf(stderr, "  '%s' is no port\n", out);
	}
}

static bool ask_all(struct answers *a)
{
	const char *words[ARRAY_LEN(events) + 1] = { NULL };

	fprintf(stderr, "Five questions; Enter takes what stands in brackets.\n");
	if (!ask("1  The program that serves, as typed in a shell", "simnet's own HTTP server", NULL,
		    a->server))
		return false;
	if (*a->server && !ask_port(a->port))
		return false;
	if (!ask("3  What tries it, as typed in a shell; {server.ip} is the server's address",
		    "an HTTP request by Python", NULL, a->client))
		return false;
	fprintf(stderr, "   Routers:");
	for (size_t i = 0; nat_preset_words[i]; i++)
		fprintf(stderr, " %s", nat_preset_words[i]);
	if (!ask("\n4  The router that the client is behind", "home", nat_preset_words, a->nat))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		words[i] = events[i].word;
		fprintf(stderr, "   %-8s %s\n", events[i].word, events[i].about);
	}
	return ask("5  What happens before it is tried again", "reset", words, a->event);
}

/* A character that YAML does not take between quotes, or takes for the end of a line. */
static bool is_escaped(uint32_t c)
{
	return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
	       c == 0xfffe || c == 0xffff;
}

/* A word of YAML that means this text, whatever it is. */
static void print_quoted(const char *text)
{
	uint32_t c;

	putchar('"');
	for (size_t n; *text && (n = text_utf8((const uint8_t *)text, strlen(text), &c)); text += n) {
		if (is_escaped(c))
			printf(c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
		else
			printf(c == '"' || c == '\\' ? "\\%.*s" : "%.*s", (int)n, text);
	}
	putchar('"');
}

static void print_try(const struct answers *a)
{
	static const char request[] =
		"import urllib.request as u; print(u.urlopen('http://{server.ip}/', timeout=2).status)";

	printf("  - run:                      # again and again until it ends well, `within` at most\n"
	       "      at: client\n"
	       "      argv: ");
	printf(*a->client ? "[sh, -c, " : "[python3, -c, ");
	print_quoted(*a->client ? a->client : request);
	printf("]\n      matches: .*             # whatever it prints\n      within: 20s\n");
}

static void print_scenario(const struct answers *a)
{
	const struct event *e = events;

	while (strcmp(e->word, a->event) != 0)
		e++;
	printf("simnet: 1\nname: my-test                 # run -k looks for it\nabout: ");
	printf(e->steps ? "a server is reached from behind a router, then %s, and it is reached again\n"
			: "a server is reached from behind a router\n",
		e->about);
	printf("routers:\n  home: {nat: %s}           # simnet presets lists them\n", a->nat);
	if (!strcmp(e->word, "move"))
		printf("  elsewhere: {nat: symmetric}\n");
	printf("services:                     # on the internet unless they say otherwise\n");
	if (*a->server) {
		printf("  server:\n    run: [sh, -c, ");
		print_quoted(a->server);
		printf("]\n    ready: {port: \"tcp {ip}:%s\"}\n", a->port);
	} else {
		printf("  server: {run: http}\n");
	}
	printf("nodes:\n  client: {at: home}          # a bare host; run: [PROGRAM, ARGUMENT] starts "
	       "something "
	       "there\nsteps:\n");
	print_try(a);
	if (!e->steps)
		return;
	fputs(e->steps, stdout);
	print_try(a);
}

int wizard_run(void)
{
	struct answers a = { 0 };

	if (!ask_all(&a))
		return command_error("the answers end before the last question; no scenario is written");
	print_scenario(&a);
	return EXIT_PASS;
}
