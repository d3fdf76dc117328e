/* The case of names (draft-vixie-dnsext-dns0x20). A question by UDP to a server outside the mesh carries its name with each
 * letter in upper or lower case by chance, one bit more for each that who forges an answer has to guess. All else in here
 * and all that clients see is in lower case, or in the case of the client.
 *
 * Some servers, and boxes before them, give a name back in another case. An answer that is right but for that
 *
 *   is not believed   It may be a guess that hit port and id. The wait for the right one goes on. And the question
 *   goes out by TCP   once for each server and flight, however many such answers come. Nobody can guess there. Where that
 *                     fails, is answered by an error, or not at all for as long as an ordinary answer takes, it
 *   goes out in lower case by UDP, from a port that no question had before, and any case is right then. So no name is
 *                     lost where a box changes the case and lets no TCP through. Who forges has to hit twice, two ports
 *                     and two ids that have nothing to do with each other, and before the right answer to the first
 *                     question, which ends all of this. That the two answers agree is not asked for: who hits twice can
 *                     say the same twice, and names whose addresses take turns do not.
 *
 * Where one of the last two is answered and no right answer has come to the first question, the server changes the case. One
 * such proof is enough where it was never seen to keep it, else it takes three in an hour (upstream.h). Then it is asked in
 * lower case, and believed in any, for an hour; so are answers to what is out at that moment. Retries to a server carry
 * the same case: forwarders join equal questions, and answer all of them in the case of one.
 *
 * Checks (check.c) ask in lower case, since nothing that they are told is used. */
#include "resolver/flight.h"

#include "mesh/base/buf.h"

static bool is_beyond_strangers(const struct upstream *u)
{
	return u->trusted || u->secure || u->validates;
}

bool mixed_case_is_lower(const struct flight *f, const struct upstream *to)
{
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].to == to && f->attempts[i].settles && !f->attempts[i].tcp)
			return true;
	return false;
}

bool mixed_case_settles(const struct flight *f, const struct upstream *to)
{
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].to == to && f->attempts[i].settles && f->attempts[i].waiting)
			return true;
	return false;
}

uint64_t mixed_case_choose(
	struct resolver *r, uint64_t now_ms, const struct flight *f, const struct upstream *to)
{
	if (r->lower_case || f->checks || is_beyond_strangers(to) || upstream_changes_case(to, now_ms))
		return 0;
	for (unsigned i = 0; i < f->n_attempts; i++)
		if (f->attempts[i].to == to && f->attempts[i].upper)
			return f->attempts[i].upper;
	return attempt_random(r, sizeof(uint64_t)) & dns_name_letters(&f->key.name);
}

enum answer_read mixed_case_read(struct resolver *r, uint64_t now_ms, const struct flight *f,
	const struct attempt *a, const uint8_t *msg, size_t len, struct answer *out)
{
	struct dns_name asked BUF_UNSET;
	size_t name_len = f->key.name.len;
	bool trusted = is_beyond_strangers(a->to), same = true;
	struct dns_ask ask;
	attempt_question(f, a, &ask);
	if (a->upper && len >= DNS_HEADER + name_len && len <= sizeof(r->out)) {
		dns_name_copy(&asked, &f->key.name);
		dns_name_mix(asked.b, name_len, a->upper);
		same = memcmp(msg + DNS_HEADER, asked.b, name_len) == 0;
		memcpy(r->out, msg, len); /* names further on may point into the question */
		dns_fold(r->out + DNS_HEADER, r->out + DNS_HEADER, name_len);
		msg = r->out;
	}
	enum answer_read verdict = answer_read(&r->work, msg, len, &ask, trusted, out, r->clean);
	if (verdict != ANSWER_OK || same || out->no_question || upstream_changes_case(a->to, now_ms))
		return verdict;
	return ANSWER_OTHER_CASE;
}

/* Once in each flight: more than that is what retries are for, which are in lower case then. */
static bool lower_send(struct resolver *r, uint64_t now_ms, struct flight *f, struct upstream *to)
{
	bool out = mixed_case_is_lower(f, to)
			   ? flight_waits_for(f, to)
			   : attempt_send(r, now_ms, f, to, (struct attempt_how) { .settles = true });
	flight_due_set(r, f);
	return out;
}

void mixed_case_changed(struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a)
{
	bool settles = false;
	if (f->lingering)
		return;
	a->other_case = true;
	for (unsigned i = 0; i < f->n_attempts; i++)
		settles = settles || (f->attempts[i].to == a->to && f->attempts[i].settles);
	if (!settles &&
		attempt_send(r, now_ms, f, a->to, (struct attempt_how) { .tcp = true, .settles = true }))
		flight_due_set(r, f);
}

void mixed_case_slow(struct resolver *r, uint64_t now_ms, struct flight *f, const struct attempt *a)
{
	(void)lower_send(r, now_ms, f, a->to);
}

bool mixed_case_failed(struct resolver *r, uint64_t now_ms, struct flight *f, struct attempt *a)
{
	if (!a->tcp || !a->settles)
		return false;
	attempt_stop(r, f, a);
	return lower_send(r, now_ms, f, a->to);
}

void mixed_case_learn(struct resolver *r, uint64_t now_ms, const struct flight *f, const struct attempt *a)
{
	struct upstream *u = a->to;
	bool changed = false;
	if (a->upper && !upstream_changes_case(u, now_ms))
		upstream_kept_case(u);
	for (unsigned i = 0; a->settles && i < f->n_attempts; i++) {
		const struct attempt *first = &f->attempts[i];
		changed = changed || (first->to == u && first->other_case && first->waiting);
	}
	if (!changed || !upstream_changed_case(u, now_ms) || u->case_told)
		return;
	u->case_told = true;
	if (r->ops.case_changes)
		r->ops.case_changes(r->ops.arg, &u->at);
}
