#include "mesh/cli/ssh_session.h"
#include "mesh/cli/api.h"
#include "mesh/os/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANCESTORS_MAX = 64, STAT_MAX = 4096, ENVIRON_MAX = 4 << 20 };

static const char variable[] = "SSH_CONNECTION=";

/* "CLIENT PORT SERVER PORT": the third word is the address it came to. */
static bool parse_connection(const char *value, struct addr *out)
{
	char server[ADDR_TEXT];
	return sscanf(value, "%*s %*s %45s", server) == 1 && addr_parse(server, out);
}

static bool session_of(const char *proc, long pid, struct addr *out)
{
	char path[256];
	struct buf b = { 0 };
	bool found = false;
	snprintf(path, sizeof(path), "%s/%ld/environ", proc, pid);
	const char *text = file_read(path, ENVIRON_MAX, &b, NULL) == 0 ? buf_cstr(&b) : NULL;
	for (size_t at = 0; text && !found && at < b.len; at += strlen(text + at) + 1) {
		if (strncmp(text + at, variable, sizeof(variable) - 1) == 0)
			found = parse_connection(text + at + sizeof(variable) - 1, out);
	}
	buf_wipe(&b); /* environments hold secrets */
	return found;
}

/* 0: none, or not to be read. The name in it may hold anything, brackets too. */
static long parent_of(const char *proc, long pid)
{
	char path[256];
	struct buf b = { 0 };
	long parent = 0;
	snprintf(path, sizeof(path), "%s/%ld/stat", proc, pid);
	const char *text = file_read(path, STAT_MAX, &b, NULL) == 0 ? buf_cstr(&b) : NULL;
	const char *behind = text ? strrchr(text, ')') : NULL;
	if (!behind || sscanf(behind + 1, " %*c %ld", &parent) != 1)
		parent = 0;
	buf_free(&b);
	return parent;
}

size_t ssh_session_addresses(
	const char *own, const char *proc, long parent, struct addr out[static SSH_SESSIONS_MAX])
{
	size_t n = own && parse_connection(own, &out[0]);
	long pid = parent;
	for (size_t i = 0; i < ANCESTORS_MAX && pid > 0 && n < SSH_SESSIONS_MAX; i++) {
		n += session_of(proc, pid, &out[n]);
		pid = parent_of(proc, pid);
	}
	return n;
}

static bool is_own(const struct api_status *s, const struct addr *a)
{
	for (size_t i = 0; i < s->n_ips; i++) {
		if (addr_equal(&s->ips[i], a))
			return true;
	}
	return false;
}

int ssh_session_check(struct cli *c, const char *accept, const char *what)
{
	struct addr at[SSH_SESSIONS_MAX];
	struct arena a = { 0 };
	struct api_status s;
	char text[ADDR_TEXT];
	if (accept && strcmp(accept, "lose-ssh") != 0 && strcmp(accept, "all") != 0)
		return cli_fail(
			c, CLI_USAGE, "usage", NULL, "--accept-risk takes lose-ssh, not \"%s\"", accept);
	size_t n = accept ? 0 : ssh_session_addresses(getenv("SSH_CONNECTION"), "/proc", getppid(), at),
	       k = 0;
	while (k < n && !addr_is_mesh(&at[k]))
		k++;
	if (k == n)
		return CLI_OK;
	int code = api_status(c, &a, &s);
	for (; code == CLI_OK && k < n; k++) {
		if (is_own(&s, &at[k]))
			code = cli_fail(c, CLI_FAILED, "lose-ssh",
				"To do it all the same: --accept-risk=lose-ssh. The session ends, and only "
				"another way in leads back.",
				"this SSH session came in through the mesh, to %s: %s would cut it off",
				addr_format(&at[k], text), what);
	}
	arena_free(&a);
	return code;
}
