#include "mesh/control/login/sessions.h"

#include <stdlib.h>

struct session_entry {
	struct session session;
	struct session_entry *next, **at; /* oldest first */
	struct browser_hash token;
};

void sessions_init(struct sessions *s, uint64_t seed)
{
	*s = (struct sessions) { 0 };
	table_init(&s->by_token, BROWSER_HASH, seed);
	s->end = &s->first;
}

static void drop(struct sessions *s, struct session_entry *e)
{
	table_remove(&s->by_token, e->token.b);
	*e->at = e->next;
	if (e->next)
		e->next->at = e->at;
	else
		s->end = e->at;
	s->n--;
	key_wipe(e, sizeof(*e));
	free(e);
}

void sessions_fini(struct sessions *s)
{
	while (s->first)
		drop(s, s->first);
	table_fini(&s->by_token);
}

static bool is_of(const struct session_entry *e, enum session_kind kind, int64_t id)
{
	return e->session.kind == kind && e->session.id == id;
}

static void make_room(struct sessions *s, const struct session *what, uint64_t now_ms)
{
	struct session_entry *oldest = NULL, *next;
	size_t same = 0;
	for (struct session_entry *e = s->first; e; e = next) {
		next = e->next;
		if (e->session.until_ms <= now_ms) {
			drop(s, e);
		} else if (is_of(e, what->kind, what->id)) {
			same++;
			oldest = oldest ? oldest : e;
		}
	}
	if (oldest && same >= SESSIONS_EACH)
		drop(s, oldest);
	else if (s->first && s->n >= SESSIONS_MAX)
		drop(s, s->first);
}

bool sessions_begin(struct sessions *s, const struct random *rnd, const struct session *what, uint64_t now_ms,
	char token[static BROWSER_TOKEN])
{
	make_room(s, what, now_ms);
	struct session_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return false;
	browser_token_make(rnd, token);
	e->token = browser_token_hash(token);
	if (!table_put(&s->by_token, e->token.b, e)) {
		free(e);
		return false;
	}
	e->session = *what;
	e->at = s->end;
	*s->end = e;
	s->end = &e->next;
	s->n++;
	return true;
}

const struct session *sessions_find(struct sessions *s, const struct browser_hash *token, uint64_t now_ms)
{
	struct session_entry *e = table_get(&s->by_token, token->b);
	if (e && e->session.until_ms <= now_ms) {
		drop(s, e);
		e = NULL;
	}
	return e ? &e->session : NULL;
}

void sessions_end(struct sessions *s, const struct browser_hash *token)
{
	struct session_entry *e = table_get(&s->by_token, token->b);
	if (e)
		drop(s, e);
}

void sessions_end_all(struct sessions *s, enum session_kind kind, int64_t id)
{
	for (struct session_entry *e = s->first, *next; e; e = next) {
		next = e->next;
		if (is_of(e, kind, id))
			drop(s, e);
	}
}
