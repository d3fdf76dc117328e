#include "mesh/node/serve/files_inner.h"
#include "mesh/base/log.h"
#include "mesh/node/serve/sharing.h"
#include "mesh/os/work.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Each is a thread, two descriptors and a pipe. Of the places, some are this machine's own. */
enum { TRANSFERS_MAX = 32, OF_PEERS_MAX = 24, OF_A_PEER_MAX = 8, SWEEP_MS = 10 * 60 * 1000 };

struct files_waiter {
	struct files_waiter *next;
	struct files *files;
	void (*came)(void *arg);
	void *arg;
	uint64_t told; /* the news that it knows of */
};

struct files {
	struct loop *loop;
	struct inbox *inbox;
	struct transfer *transfers;
	struct outgoing_list outgoing;
	struct files_waiter *waiters;
	uint64_t n_told; /* news so far */
	struct loop_timer *sweep_due;
	struct work *sweep;
	int news; /* a descriptor: a new file waits */
	struct loop_fd *news_watch;
};

struct inbox *files_inbox(struct files *f)
{
	return f->inbox;
}

/* --- what nobody goes on with --- */

static void sweep_run(void *arg)
{
	inbox_sweep(((struct files *)arg)->inbox, clock_unix_ms() / 1000);
}

static void sweep_done(void *arg)
{
	struct files *f = arg;
	f->sweep = NULL;
	loop_timer_set(f->sweep_due, SWEEP_MS);
}

static void sweep_begin(void *arg)
{
	struct files *f = arg;
	f->sweep = work_start(f->loop, sweep_run, sweep_done, f);
	if (!f->sweep)
		loop_timer_set(f->sweep_due, SWEEP_MS);
}

/* --- what waits --- */

void files_waiting(struct files *f, void (*each)(void *arg, const struct inbox_file *file), void *arg)
{
	inbox_files(f->inbox, each, arg);
}

size_t files_count(struct files *f)
{
	return inbox_count(f->inbox);
}

struct files_waiter *files_wait(struct files *f, void (*came)(void *arg), void *arg)
{
	struct files_waiter *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	*w = (struct files_waiter) {
		.next = f->waiters, .files = f, .came = came, .arg = arg, .told = f->n_told
	};
	f->waiters = w;
	return w;
}

void files_wait_end(struct files_waiter *w)
{
	if (!w)
		return;
	struct files_waiter **at = &w->files->waiters;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	free(w);
}

void files_came(struct files *f)
{
	uint64_t one = 1;
	(void)!write(f->news, &one, sizeof(one));
}

/* Each may end itself or others, and begin new ones, which know the news. */
static void tell_waiters(void *arg, int events)
{
	struct files *f = arg;
	uint64_t count;
	(void)events;
	(void)!read(f->news, &count, sizeof(count));
	f->n_told++;
	for (struct files_waiter *w = f->waiters; w;) {
		if (w->told == f->n_told) {
			w = w->next;
			continue;
		}
		w->told = f->n_told;
		w->came(w->arg);
		w = f->waiters; /* any of them may be gone */
	}
}

/* --- open and close --- */

struct files *files_open(struct loop *l, const char *state_dir, struct errbuf *eb)
{
	struct files *f = calloc(1, sizeof(*f));
	if (!f) {
		err_set(eb, -ENOMEM, "open the folder of received files");
		return NULL;
	}
	f->loop = l;
	f->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->sweep_due = loop_timer_new(l, sweep_begin, f);
	bool tells = outgoing_open(&f->outgoing, l);
	f->news_watch = f->news >= 0 ? loop_fd_new(l, f->news, tell_waiters, f) : NULL;
	if (f->sweep_due && f->news_watch && tells)
		f->inbox = inbox_open(state_dir, eb);
	else
		err_set(eb, -ENOMEM, "open the folder of received files");
	if (!f->inbox) {
		files_close(f);
		return NULL;
	}
	loop_fd_set(f->news_watch, LOOP_READ);
	sweep_begin(f);
	return f;
}

void files_close(struct files *f)
{
	if (!f)
		return;
	/* All are told before the first is waited for. */
	for (struct transfer *t = f->transfers; t; t = t->next)
		errand_stop(t->errand);
	while (f->transfers) {
		struct transfer *t = f->transfers;
		f->transfers = t->next;
		errand_finish(t->errand);
		free(t);
	}
	while (f->waiters) {
		struct files_waiter *w = f->waiters;
		f->waiters = w->next;
		free(w);
	}
	if (f->sweep)
		(void)work_finish(f->sweep);
	outgoing_close(&f->outgoing);
	loop_timer_free(f->sweep_due);
	loop_fd_free(f->news_watch);
	if (f->news >= 0)
		close(f->news);
	inbox_close(f->inbox);
	free(f);
}

/* --- transfers --- */

int files_refuse_more(struct files *f, int64_t peer, const char **why)
{
	size_t all = 0, of_peers = 0, of_this = 0;
	for (const struct transfer *t = f->transfers; t; t = t->next) {
		all++;
		of_peers += t->peer && t->kind != TRANSFER_SEND;
		of_this += t->peer == peer && t->kind != TRANSFER_SEND;
	}
	*why = "this machine moves as many files as it can at once; try again when one is done";
	if (all >= TRANSFERS_MAX || (peer && (of_peers >= OF_PEERS_MAX || of_this >= OF_A_PEER_MAX)))
		return 503;
	*why = "too many files wait on the receiving machine: take some out with ropewalk file get";
	return peer && inbox_count(f->inbox) + of_peers >= INBOX_FILES_MAX ? 507 : 0;
}

static const char *const done_texts[] = { [TRANSFER_IN] = "received", [TRANSFER_SEND] = "sent" };

/* Told by the loop: names of files are the users' own, and not for a log. */
static void log_outcome(const struct transfer *t)
{
	if (t->kind != TRANSFER_IN && t->kind != TRANSFER_SEND)
		return;
	bool in = t->kind == TRANSFER_IN;
	if (t->why.code)
		log_info("files: one was not %s %s %s: %s", done_texts[t->kind], in ? "from" : "to",
			t->peer_name, t->why.text);
	else
		log_info("files: one was %s %s %s, %" PRIu64 " bytes", done_texts[t->kind],
			in ? "from" : "to", t->peer_name, in ? t->stored.size : t->moved);
}

static void transfer_done(void *arg)
{
	struct transfer *t = arg;
	struct files *f = t->files;
	struct transfer **at = &f->transfers;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	log_outcome(t);
	outgoing_end(&f->outgoing, t);
	free(t);
}

static void transfer_run(void *arg, int stop)
{
	static void (*const runs[])(struct transfer * t, int stop) = { [TRANSFER_IN] = transfer_receive,
		[TRANSFER_BLOCKS] = transfer_tell_blocks,
		[TRANSFER_PARTIALS] = transfer_tell_partials,
		[TRANSFER_OUT] = transfer_hand_out,
		[TRANSFER_REMOVE] = transfer_remove,
		[TRANSFER_SEND] = transfer_send };
	struct transfer *t = arg;
	http_carry_patience(t->carry, stop, FILES_IDLE_MS);
	runs[t->kind](t, stop);
	http_carry_close(t->carry);
	t->carry = NULL;
}

/* Takes over c, whatever happens. NULL: nothing has begun. */
static struct transfer *transfer_begin(struct files *f, struct http_carry *c, const struct transfer *like)
{
	struct transfer *t = calloc(1, sizeof(*t));
	if (t) {
		*t = *like;
		t->files = f;
		t->carry = c;
		t->errand = errand_start(f->loop, transfer_run, transfer_done, t);
	}
	if (!t || !t->errand) {
		free(t);
		http_carry_close(c);
		log_warn("files: a connection was closed: memory or threads are short");
		return NULL;
	}
	t->next = f->transfers;
	f->transfers = t;
	return t;
}

static struct transfer describe(enum transfer_kind kind, const struct files_peer *peer, const char *name)
{
	struct transfer t = { .kind = kind, .peer = peer ? peer->id : 0 };
	snprintf(t.peer_name, sizeof(t.peer_name), "%s", peer ? peer->name : "");
	snprintf(t.name, sizeof(t.name), "%s", name ? name : "");
	return t;
}

void transfer_answer_text(struct http_carry *c, int status, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	http_carry_answer(c, status, "text/plain; charset=utf-8", NULL, line,
		n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

void files_cut(struct files *f, bool (*stays)(void *arg, int64_t peer), void *arg)
{
	for (struct transfer *t = f->transfers; t; t = t->next) {
		if (!t->peer || t->cut || stays(arg, t->peer))
			continue;
		t->cut = true;
		errand_stop(t->errand);
	}
}

bool files_is_receiving(const struct files *f, int64_t peer, const char *name)
{
	for (const struct transfer *t = f->transfers; t; t = t->next)
		if (t->kind == TRANSFER_IN && t->peer == peer && !t->settled && !strcmp(t->name, name))
			return true;
	return false;
}

void files_receive(
	struct files *f, struct http_carry *c, const struct files_peer *from, const char *name, uint64_t at)
{
	struct transfer t = describe(TRANSFER_IN, from, name);
	t.at = at;
	transfer_begin(f, c, &t);
}

void files_tell_blocks(struct files *f, struct http_carry *c, const struct files_peer *to, const char *name)
{
	struct transfer t = describe(TRANSFER_BLOCKS, to, name);
	transfer_begin(f, c, &t);
}

void files_tell_partials(struct files *f, struct http_carry *c, const struct files_peer *to)
{
	struct transfer t = describe(TRANSFER_PARTIALS, to, NULL);
	transfer_begin(f, c, &t);
}

void files_hand_out(struct files *f, struct http_carry *c, const char *name)
{
	struct transfer t = describe(TRANSFER_OUT, NULL, name);
	transfer_begin(f, c, &t);
}

void files_remove(struct files *f, struct http_carry *c, const char *name)
{
	struct transfer t = describe(TRANSFER_REMOVE, NULL, name);
	transfer_begin(f, c, &t);
}

void files_send(struct files *f, struct http_carry *c, const struct files_target *to, const char *name)
{
	struct transfer t = describe(TRANSFER_SEND, &to->peer, name);
	t.to = to->at;
	snprintf(t.ifname, sizeof(t.ifname), "%s", to->ifname);
	int64_t size = http_carry_left(c);
	const struct transfer *begun = transfer_begin(f, c, &t);
	if (begun)
		outgoing_begin(&f->outgoing, begun, to->stable_id, size);
}

void files_outgoing(const struct files *f, void (*each)(void *arg, const struct files_outgoing *o), void *arg)
{
	outgoing_each(&f->outgoing, each, arg);
}

void files_outgoing_watch(struct files *f, void (*changed)(void *arg), void *arg)
{
	f->outgoing.changed = changed;
	f->outgoing.arg = arg;
}
