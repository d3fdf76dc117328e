#include "mesh/cli/status.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 4, STATE_MAX = 512 };

struct row {
	char cell[COLUMNS][80]; /* address, host, owner, OS */
	char state[STATE_MAX];
};

static size_t append(char *buf, size_t cap, const char *text)
{
	size_t at = strlen(buf), n = strlen(text);
	if (n > cap - 1 - at)
		n = cap - 1 - at;
	memcpy(buf + at, text, n);
	buf[at + n] = 0;
	return at + n;
}

static void set_host(const struct api_peer *p, char *out, size_t cap)
{
	int n = (int)strcspn(p->dns_name, ".");
	if (n)
		snprintf(out, cap, "%.*s", n, p->dns_name);
	else
		snprintf(out, cap, "\"%s\"", p->host_name);
}

static void set_owner(const struct api_status *s, const struct api_peer *p, char *out, size_t cap)
{
	snprintf(out, cap, "-");
	for (size_t i = 0; i < s->n_users; i++) {
		const char *name = s->users[i].login_name;
		if (s->users[i].id == p->user_id && *name)
			snprintf(out, cap, "%.*s@", (int)strcspn(name, "@"), name);
	}
}

void status_seen(const struct api_peer *p, int64_t now_ms, char *out, size_t cap)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 } };
	snprintf(out, cap, "offline");
	if (p->last_seen_ms < 0 || p->last_seen_ms > now_ms) /* INT64_MIN is never */
		return;
	int64_t ago = now_ms - p->last_seen_ms;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ago < units[i].ms && i + 1 < ARRAY_LEN(units))
			continue;
		snprintf(out, cap, "offline, last seen %" PRId64 "%s ago", ago / units[i].ms, units[i].unit);
		return;
	}
}

/* What it is for others, before how its packets travel; as the official command puts it. */
static const char *exit_words(const struct api_peer *p)
{
	return p->exit_node ? "exit node; " : p->exit_node_option ? "offers exit node; " : "";
}

/* How its packets travel. */
static void set_path(const struct api_peer *p, char *out, size_t cap)
{
	if (*p->cur_addr)
		snprintf(out, cap, "active; %sdirect %s", exit_words(p), p->cur_addr);
	else if (*p->relay)
		snprintf(out, cap, "active; %srelay \"%s\"", exit_words(p), p->relay);
	else
		snprintf(out, cap, "active");
	static const char but[] = "direct, "; /* and what is odd about it */
	if (*p->cur_addr && strncmp(p->why, but, sizeof(but) - 1) == 0) {
		append(out, cap, ", ");
		append(out, cap, p->why + sizeof(but) - 1);
	}
	if (!*p->cur_addr && *p->why) {
		append(out, cap, " (");
		append(out, cap, p->why);
		append(out, cap, ")");
	}
	if (!p->online)
		append(out, cap, "; offline");
}

static void set_state(const struct api_peer *p, bool self, int64_t now_ms, char *out, size_t cap)
{
	bool traffic = p->rx_bytes || p->tx_bytes;
	char bytes[80];
	if (self) {
		snprintf(out, cap, "-");
		return;
	}
	if (p->expired)
		snprintf(out, cap, "key expired");
	else if (p->active)
		set_path(p, out, cap);
	else if (!p->online)
		status_seen(p, now_ms, out, cap);
	else
		snprintf(out, cap, "%s%s", traffic || *exit_words(p) ? "idle" : "-",
			p->exit_node	      ? "; exit node"
			: p->exit_node_option ? "; offers exit node"
					      : "");
	if (!traffic)
		return;
	snprintf(bytes, sizeof(bytes), ", tx %" PRIu64 " rx %" PRIu64, p->tx_bytes, p->rx_bytes);
	append(out, cap, bytes);
}

static void set_row(
	const struct api_status *s, const struct api_peer *p, const struct status_view *v, struct row *r)
{
	const struct addr *ip = p->n_ips ? &p->ips[0] : NULL;
	for (size_t i = 0; i < p->n_ips; i++)
		if (addr_is_v4(&p->ips[i])) {
			ip = &p->ips[i];
			break;
		}
	if (ip)
		addr_format(ip, r->cell[0]);
	else
		strcpy(r->cell[0], "-");
	set_host(p, r->cell[1], sizeof(r->cell[1]));
	set_owner(s, p, r->cell[2], sizeof(r->cell[2]));
	snprintf(r->cell[3], sizeof(r->cell[3]), "%s", *p->os ? p->os : "-");
	set_state(p, p == &s->self, v->now_ms, r->state, sizeof(r->state));
}

static void print_rows(const struct row *rows, size_t n, FILE *to)
{
	int width[COLUMNS] = { 0 };
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < COLUMNS; j++) {
			int len = (int)strlen(rows[i].cell[j]);
			width[j] = len > width[j] ? len : width[j];
		}
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < COLUMNS; j++)
			fprintf(to, "%-*s  ", width[j], rows[i].cell[j]);
		fprintf(to, "%s\n", rows[i].state);
	}
}

/* Of all that is counted, what somebody can act on; the rest is noise of networks, in --json. */
static const struct {
	const char *drop, *sentence;
} drops_told[] = {
	{ "filter.no_rule", "from other machines, refused by the access rules of the network" },
	{ "node.rejected_by_peer", "to other machines, refused by the access rules there" },
	{ "node.relay_queue_full", "lost because the relay is too slow" },
	{ "node.relay_oversize", "too large for a relay" },
	{ "udp.udp_queue_full", "lost because this machine's network is too slow" },
	{ "udp.udp_unsent", "not taken by this machine's network" },
	{ "tun.tun_write_failed", "not taken by the mesh interface" },
	{ "wg.no_memory", "lost because memory is short" },
};

static void print_drops(const struct api_status *s, FILE *to)
{
	bool any = false;
	for (size_t i = 0; i < ARRAY_LEN(drops_told); i++) {
		for (size_t k = 0; k < s->n_drops; k++) {
			if (!s->drops[k].n || strcmp(s->drops[k].name, drops_told[i].drop) != 0)
				continue;
			if (!any)
				fputs("\n# Dropped packets:\n", to);
			fprintf(to, "#     - %" PRIu64 " %s (%s)\n", s->drops[k].n, drops_told[i].sentence,
				drops_told[i].drop);
			any = true;
		}
	}
}

static bool is_told(const struct api_status *s, size_t line)
{
	if (strcmp(s->health[line], s->control) == 0)
		return true;
	for (size_t i = 0; i < line; i++) {
		if (strcmp(s->health[i], s->health[line]) == 0)
			return true;
	}
	return false;
}

static void print_notes(const struct api_status *s, FILE *to)
{
	bool any = false;
	if (*s->control && strcmp(s->control, "connected") != 0)
		fprintf(to, "\n# Control server: %s\n", s->control);
	for (size_t i = 0; i < s->n_health; i++) {
		if (is_told(s, i))
			continue;
		fprintf(to, "%s#     - %s\n", any ? "" : "\n# Health check:\n", s->health[i]);
		any = true;
	}
	print_drops(s, to);
}

bool status_print(const struct api_status *s, const struct status_view *v, FILE *to)
{
	enum { MORE = 3 }; /* this machine, two lines of the header */
	struct row *rows = calloc(s->n_peers + MORE, sizeof(*rows));
	size_t n = 0;
	if (!rows)
		return false;
	if (v->header) {
		rows[n++] = (struct row) { .cell = { "IP", "Hostname", "Owner", "OS" }, .state = "Status" };
		rows[n++] = (struct row) { .cell = { "--", "--------", "-----", "--" }, .state = "------" };
	}
	if (v->self)
		set_row(s, &s->self, v, &rows[n++]);
	for (size_t i = 0; v->peers && i < s->n_peers; i++)
		if (!v->active_only || s->peers[i].active)
			set_row(s, &s->peers[i], v, &rows[n++]);
	print_rows(rows, n, to);
	free(rows);
	print_notes(s, to);
	return true;
}

const char *status_sentence(const struct api_status *s)
{
	static const struct {
		const char *state, *sentence;
	} rows[] = {
		{ "NoState", "ropewalkd is starting; try again in a moment." },
		{ "NeedsLogin", "Logged out." },
		{ "NeedsMachineAuth",
			"This machine is not approved yet. An administrator of the network has to do it." },
		{ "Stopped", "ropewalk is stopped. To start it: ropewalk up" },
	};
	if (s->self.expired && strcmp(s->backend_state, "NeedsLogin") == 0)
		return API_EXPIRED;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].state, s->backend_state) == 0)
			return rows[i].sentence;
	return NULL;
}
