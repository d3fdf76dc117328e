#include "mesh/control/http/ssh_checks.h"

#include "mesh/base/key.h"
#include "mesh/base/log.h"
#include "mesh/control/http/verbs.h"
#include "mesh/control/policy/policy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ABANDONED_MS = 60 * 1000, MESSAGE_MAX = 512, URL_MAX = 256 };

struct ssh_check {
	struct h2_owner owner;
	struct ssh_check *next;
	struct ssh_checks *list;
	struct h2_stream *stream; /* NULL: it has still to come back */
	struct machine_key machine;
	char id[SSH_CHECK_ID];
	int64_t src, dst, since_ms;
	char name[SSH_LOGIN_NAME];
};
/* Who wants to log in where, as whom. */
struct ssh_question {
	const struct member *src, *dst;
	char name[SSH_LOGIN_NAME], id[SSH_CHECK_ID]; /* id: "" at first */
	uint64_t period_ms;
};

/* --- those that wait --- */

void ssh_checks_init(struct ssh_checks *l)
{
	*l = (struct ssh_checks) { .first = NULL };
}

static void free_check(struct ssh_check *g)
{
	struct ssh_check **at = &g->list->first;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	g->list->n--;
	if (g->stream)
		h2_stream_data_set(g->stream, NULL);
	free(g);
}

/* Who logged in has hung up. */
static void check_gone(struct h2_owner *o)
{
	struct ssh_check *g = (struct ssh_check *)o;
	g->stream = NULL;
	free_check(g);
}

static struct ssh_check *find_check(const struct ssh_checks *l, const char *id)
{
	struct ssh_check *g = l->first;
	while (g && strcmp(g->id, id) != 0)
		g = g->next;
	return g;
}

static void answer(struct h2_stream *s, json_t *action)
{
	api_reply_json(&(struct api_way) { .stream = s }, 200, action);
}

static void accept_login(struct h2_stream *s)
{
	answer(s, json_pack("{s:b, s:b, s:b, s:b}", "accept", 1, "allowAgentForwarding", 1,
			  "allowLocalPortForwarding", 1, "allowRemotePortForwarding", 1));
}

static void reject_login(struct h2_stream *s, const char *why)
{
	answer(s, json_pack("{s:b, s:s}", "reject", 1, "message", why));
}

/* The last of it. */
static void end_check(struct ssh_check *g, bool accept, const char *why)
{
	struct h2_stream *s = g->stream;
	free_check(g);
	if (s && accept)
		accept_login(s);
	else if (s)
		reject_login(s, why);
}

void ssh_checks_close(struct ssh_checks *l)
{
	struct ssh_check *next;
	for (struct ssh_check *g = l->first; g; g = next) {
		next = g->next;
		end_check(g, false, "the server is going down: try again\r\n");
	}
}

/* Those that never came back. */
static void drop_abandoned(struct ssh_checks *l, int64_t now_ms)
{
	for (struct ssh_check **at = &l->first, *g; (g = *at);) {
		if (g->stream || now_ms - g->since_ms <= ABANDONED_MS) {
			at = &g->next;
			continue;
		}
		*at = g->next;
		l->n--;
		free(g);
	}
}

/* The machine's oldest where it has too many, else the oldest of all where those are. */
static void make_room(struct ssh_checks *l, const struct machine_key *machine)
{
	size_t n = 0;
	struct ssh_check *oldest = NULL;
	for (struct ssh_check *g = l->first; g; g = g->next)
		if (key_equal(g->machine.b, machine->b)) {
			oldest = oldest ? oldest : g;
			n++;
		}
	if (n < SSH_CHECKS_OF_MACHINE)
		oldest = l->n >= SSH_CHECKS_MAX ? l->first : NULL;
	if (oldest)
		end_check(oldest, false, "too many wait to be let in: try again\r\n");
}

static struct ssh_check *add_check(
	struct ssh_checks *l, const struct ssh_question *q, const struct machine_key *machine, int64_t now_ms)
{
	static const char digits[] = "abcdefghijkmnopqrstuvwxyz23456789";
	struct ssh_check *g = calloc(1, sizeof(*g));
	uint8_t bytes[SSH_CHECK_ID - 1];
	if (!g)
		return NULL;
	drop_abandoned(l, now_ms);
	make_room(l, machine);
	random_system.fill(random_system.arg, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		g->id[i] = digits[bytes[i] % (sizeof(digits) - 1)];
	g->owner.gone = check_gone;
	g->list = l;
	g->machine = *machine;
	g->src = q->src->id;
	g->dst = q->dst->id;
	g->since_ms = now_ms;
	memcpy(g->name, q->name, sizeof(g->name));
	struct ssh_check **at = &l->first;
	while (*at)
		at = &(*at)->next;
	*at = g;
	l->n++;
	return g;
}

/* --- what was let in --- */

static bool has_passed(const struct ssh_checks *l, const struct ssh_question *q, int64_t now_ms)
{
	size_t n = l->n_passed < SSH_PASSED_MAX ? l->n_passed : SSH_PASSED_MAX;
	for (size_t i = 0; i < n; i++) {
		const struct ssh_pass *p = &l->passed[i];
		if (p->src == q->src->id && p->dst == q->dst->id && !strcmp(p->name, q->name) &&
			now_ms >= p->at_ms && (uint64_t)(now_ms - p->at_ms) < q->period_ms)
			return true;
	}
	return false;
}

static void note_passed(struct ssh_checks *l, const struct ssh_check *g, int64_t now_ms)
{
	struct ssh_pass *p = &l->passed[l->n_passed++ % SSH_PASSED_MAX];
	*p = (struct ssh_pass) { .src = g->src, .dst = g->dst, .at_ms = now_ms };
	memcpy(p->name, g->name, sizeof(p->name));
}

/* --- what a node asks --- */

/* "/machine/ssh/action/SRC/to/DST?local_user=NAME", and "&check=ID" where it was told so. false: something else. */
static bool read_question(const struct api_call *c, struct ssh_question *q)
{
	const struct fleet *f = &c->api->reg->fleet;
	const struct http_head head = { .target = c->path };
	long long src, dst;
	if (sscanf(c->path, "/machine/ssh/action/%lld/to/%lld?", &src, &dst) != 2 ||
		!http_target_query(&head, "local_user", q->name, sizeof(q->name)))
		return false;
	if (!http_target_query(&head, "check", q->id, sizeof(q->id)))
		q->id[0] = 0;
	q->src = fleet_by_id(f, src);
	q->dst = fleet_by_id(f, dst);
	return q->src && q->dst;
}

static void ask_to_come_back(
	struct api_call *c, const struct ssh_question *q, const struct machine_key *machine)
{
	struct ssh_check *g = add_check(c->api->ssh_checks, q, machine, c->now_ms);
	char text[MESSAGE_MAX], url[URL_MAX];
	if (!g) {
		api_reply_text(&c->way, 503, "the server is short of memory");
		return;
	}
	snprintf(text, sizeof(text),
		"# This login has to be let in: %s/ssh/%s\r\n"
		"# or, on the server: ropewalk-control ssh approve %s\r\n",
		c->api->cfg->server_url, g->id, g->id);
	snprintf(url, sizeof(url),
		"https://unused/machine/ssh/action/$SRC_NODE_ID/to/"
		"$DST_NODE_ID?local_user=$LOCAL_USER&check=%s",
		g->id);
	log_info("ssh: %s asks to log in on %s as %s: ssh approve %s", q->src->name, q->dst->name, q->name,
		g->id);
	answer(c->way.stream, json_pack("{s:s, s:s}", "message", text, "holdAndDelegate", url));
}

/* The answer comes when an admin has decided. */
static void hold_check(struct api_call *c, const struct ssh_question *q)
{
	struct ssh_check *g = find_check(c->api->ssh_checks, q->id);
	if (!g || g->src != q->src->id || g->dst != q->dst->id || strcmp(g->name, q->name) != 0) {
		reject_login(c->way.stream, "this login is not known here any more: try again\r\n");
		return;
	}
	if (g->stream) { /* its first connection broke */
		struct h2_stream *old = g->stream;
		h2_stream_data_set(old, NULL);
		g->stream = NULL;
		reject_login(old, "asked again\r\n");
	}
	g->stream = c->way.stream;
	h2_stream_data_set(g->stream, &g->owner);
}

void machine_ssh_action(struct api_call *c)
{
	const struct machine_key *machine = control_server_machine(h2_stream_link(c->way.stream));
	struct ssh_question q = { .src = NULL };
	if (!read_question(c, &q) || !key_equal(q.dst->machine.b, machine->b))
		reject_login(c->way.stream, "the server does not know these nodes\r\n");
	else if (!policy_ssh_checked(c->api->streams->set->policy, &c->api->reg->fleet, q.src, q.dst, q.name,
			 &q.period_ms))
		reject_login(c->way.stream, "the access rules do not let you in\r\n");
	else if (has_passed(c->api->ssh_checks, &q, c->now_ms))
		accept_login(c->way.stream);
	else if (*q.id)
		hold_check(c, &q);
	else
		ask_to_come_back(c, &q, machine);
}

/* --- what admins say --- */

static const char *name_of(const struct api *a, int64_t node)
{
	const struct member *m = fleet_by_id(&a->reg->fleet, node);
	return m ? m->name : "a node that is gone";
}

static json_t *check_value(const struct api *a, const struct ssh_check *g)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "id", g->id, "from", name_of(a, g->src), "to",
		name_of(a, g->dst), "as", g->name);
}

void admin_ssh_list(struct api_call *c)
{
	json_t *list = json_array();
	for (const struct ssh_check *g = c->api->ssh_checks->first; g; g = g->next)
		json_array_append_new(list, check_value(c->api, g));
	api_reply_json(&c->way, 200, list);
}

int ssh_checks_decide(
	struct api *a, const char *id, bool accept, int64_t now_ms, json_t **value, struct errbuf *eb)
{
	struct ssh_check *g = find_check(a->ssh_checks, id);
	if (!g)
		return err_say(eb, -ENOENT, "no login waits under this id: `ssh list` shows them");
	const struct fleet *f = &a->reg->fleet;
	const struct member *src = fleet_by_id(f, g->src), *dst = fleet_by_id(f, g->dst);
	uint64_t period_ms;
	if (accept &&
		!(src && dst && /* the rules may be others by now */
			policy_ssh_checked(a->streams->set->policy, f, src, dst, g->name, &period_ms))) {
		end_check(g, false, "the access rules do not let you in any more\r\n");
		return err_say(eb, -EACCES, "the access rules do not allow this login any more");
	}
	*value = check_value(a, g);
	if (accept)
		note_passed(a->ssh_checks, g, now_ms);
	end_check(g, accept, "an admin has refused this login\r\n");
	return 0;
}

static void decide_check(struct api_call *c, bool accept)
{
	struct errbuf eb = { 0 };
	json_t *v = NULL;
	if (ssh_checks_decide(c->api, verb_text(c, "id"), accept, c->now_ms, &v, &eb))
		api_reply_error(&c->way, 400, eb.text);
	else
		api_reply_json(&c->way, 200, v);
}

void admin_ssh_approve(struct api_call *c)
{
	decide_check(c, true);
}

void admin_ssh_reject(struct api_call *c)
{
	decide_check(c, false);
}

void pages_ssh(struct api_call *c)
{
	const struct ssh_check *g = find_check(c->api->ssh_checks, c->tail);
	char text[MESSAGE_MAX];
	if (!g) {
		api_reply_text(
			&c->way, 404, "No login waits here: it was decided, or who wanted in has hung up.\n");
		return;
	}
	snprintf(text, sizeof(text),
		"%.63s asks to log in on %.63s as %.63s.\n\nTo let it in, an admin of this network runs on "
		"the server:\n\n"
		"    ropewalk-control ssh approve %s\n",
		name_of(c->api, g->src), name_of(c->api, g->dst), g->name, g->id);
	api_reply_text(&c->way, 200, text);
}
