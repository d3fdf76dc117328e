/* What a peer asks of its exit, and what this machine's own resolver says to that: the first byte says how (below), then come a
 * byte that counts those of the question, the question, and the answer. What a peer gets leads to nothing inside. With short
 * memory once more. */
#include "mesh/base/fuzz/must.h"
#include "mesh/base/fuzz/trouble.h"
#include "mesh/os/fuzz/awake.h"
#include "mesh/base/wire.h"
#include "mesh/node/serve/exit_dns.h"
#include "resolver/answer.h"
#include "resolver/fuzz/scripted_asked.h"
#include "resolver/report.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
	FITS = 1, /* the bytes are the records of an answer to this question, a letter of which says how many */
	NONE = 2,      /* there is no resolver */
	NONE_THEN = 4, /* nor is there one any more when the answer comes */
	LEAVES = 8,    /* the asker leaves */
	REFUSES = 16,  /* no connection to the resolver */
	ENDS = 32,     /* the resolver says nothing, and goes */
	LATE = 64,     /* or says nothing for long */
	NAT64 = 128,
	LATE_MS = 7000,
	TURNS = 6
};

/* What outlives an input. */
static struct resolver *core[2]; /* the second knows a translator */

/* Begun anew with each. */
static struct {
	struct loop *loop;
	struct resolver *resolver;
	struct exit_dns *question;
	unsigned done;
} w;

static struct resolver *core_make(bool nat64)
{
	static const struct resolver_ops none = { 0 };
	struct resolver_upstream up = { .at = { .ip = addr_v4(0xcb007101), .port = 53 } }, site = up;
	site.site = true;
	struct resolver_route routes[] = { { .suffix = "", .upstreams = &up, .n_upstreams = 1 },
		{ .suffix = "corp.example", .upstreams = &up, .n_upstreams = 1 } };
	struct resolver_config c = { .routes = routes, .n_routes = 2, .site = &site, .n_site = 1 };
	struct addr ip = addr_v4(0x64400002);
	struct zone *z = zone_new();
	struct resolver *r = resolver_new(&none, &random_system);
	if (nat64)
		c.dns64 = nat64_well_known;
	must(z && r && zone_add_address(z, "b.mesh.test", &ip, true) == 0 &&
		zone_add_authority(z, "mesh.test") == 0 && resolver_configure(r, &c, NULL) == 0);
	resolver_zone_set(r, z);
	zone_put(z);
	return r;
}

static void core_end(void)
{
	resolver_free(core[0]);
	resolver_free(core[1]);
}

static struct resolver *say_resolver(void *arg)
{
	(void)arg;
	return w.resolver;
}

static void done(void *arg, const uint8_t *answer, size_t len)
{
	(void)arg;
	must(!w.done++ && !w.question); /* once; and then there is nothing to cancel */
	if (!answer)
		return;
	must(len >= DNS_HEADER);
	const struct nat64_set none = { .n = 0 };
	const struct nat64_set by = w.resolver ? resolver_dns64(w.resolver) : none;
	must(!answer_has_private(answer, len, &by));
}

/* The header and the question of what was asked, as an answer. */
static size_t answer_begin(const struct rd *question, size_t cap, uint8_t *out)
{
	size_t n = question->left < cap ? question->left : cap;
	memcpy(out, question->p, n);
	if (n < DNS_HEADER)
		return n;
	struct dns_name name;
	size_t next;
	out[2] |= 0x80;
	be_put(out + 6, 2, out[1] % 8);
	be_put(out + 8, 2, 0);
	be_put(out + 10, 2, 0);
	return dns_name_expand(out, n, DNS_HEADER, &name, &next) && n - next >= 4 ? next + 4 : n;
}

static void turn(int n)
{
	while (n--)
		loop_run_once(w.loop);
}

static void play(uint8_t how, const struct rd *question, const struct rd *told)
{
	static uint8_t answer[DNS_MESSAGE_MAX];
	const struct exit_dns_ops ops = { .resolver = say_resolver, .done = done };
	size_t n = how & FITS ? answer_begin(question, sizeof(answer), answer) : 0;
	size_t more = told->left < sizeof(answer) - n ? told->left : sizeof(answer) - n;
	memcpy(answer + n, told->p, more);
	w.resolver = how & NONE ? NULL : core[how & NAT64 ? 1 : 0];
	scripted_asked_refuses(how & REFUSES);
	if (!exit_dns_ask(w.loop, question->p, question->left, &ops, &w.question)) {
		must(!w.done && !w.question);
		return;
	}
	must(!w.done == !!w.question);
	turn(TURNS);
	if (how & LEAVES) {
		exit_dns_cancel(w.question);
		return;
	}
	if (how & NONE_THEN)
		w.resolver = NULL;
	if (how & ENDS)
		scripted_asked_end();
	else if (!(how & LATE))
		scripted_asked_turn(answer, n + more);
	turn(TURNS);
	trouble_pass_ms(w.done ? 0 : LATE_MS);
	turn(TURNS);
	must(w.done == 1);
}

static void run(const uint8_t *p, size_t len)
{
	struct rd r = rd_of(p, len);
	uint8_t how = rd_u8(&r), n = rd_u8(&r);
	struct rd question = rd_sub(&r, n);
	memset(&w, 0, sizeof(w));
	if (r.bad)
		return;
	w.loop = loop_new();
	struct awake awake = awake_loop(w.loop);
	trouble_begin();
	play(how, &question, &r);
	trouble_end();
	scripted_asked_end();
	awake_free(&awake);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	if (!core[0]) {
		must(key_setup() && atexit(core_end) == 0);
		core[0] = core_make(false);
		core[1] = core_make(true);
	}
	return trouble_twice(run, p, len);
}
