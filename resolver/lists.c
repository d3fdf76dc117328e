#include "resolver/lists.h"

#include "resolver/block.h"
#include "resolver/block_list.h"
#include "resolver/block_regex.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_LEN = 64 * 1024 };

static const char out_of_memory[] = "out of memory for lists";

static int does_not_fit(const struct conf_list *l, int err, struct errbuf *eb)
{
	return err_say(eb, err, "the list %s does not fit in memory", l->name);
}

/* ---- into a set ---- */

/* One list, from where it is, piece by piece. */
static int list_feed(const struct conf_list *from, struct block_list *l, struct errbuf *eb)
{
	char *piece = from->file ? malloc(PIECE_LEN) : NULL;
	int fd = from->file ? open(from->file, O_RDONLY | O_CLOEXEC) : -1, err = 0;
	for (size_t i = 0; !err && i < from->n_names; i++) {
		err = block_list_read(l, from->names[i], strlen(from->names[i]));
		err = err ? err : block_list_read(l, "\n", 1);
	}
	if (from->file && !piece)
		err = -ENOMEM;
	else if (from->file && fd < 0 && !((from->url || from->own) && errno == ENOENT))
		err = err_set(eb, -errno, "the list %s: open %s", from->name, from->file);
	for (ssize_t n; !err && fd >= 0 && (n = read(fd, piece, PIECE_LEN)) != 0;)
		err = n < 0 ? err_set(eb, -errno, "the list %s: read %s", from->name, from->file)
			    : block_list_read(l, piece, (size_t)n);
	err = err ? err : block_list_end(l);
	if (fd >= 0)
		close(fd);
	free(piece);
	return err == -ENOMEM || err == ERR_TOO_LARGE ? does_not_fit(from, err, eb) : err;
}

struct into_set {
	struct block *set;
	unsigned list;
	uint64_t n, bad, first_bad; /* expressions that are none */
};

static int item_add(void *arg, const struct block_item *i)
{
	struct into_set *to = arg;
	struct errbuf eb = { 0 };
	to->n++;
	if (i->name.len)
		return block_add(to->set, to->list, &i->name, i->reach);
	int err = block_add_regex(to->set, to->list, i->regex, i->regex_len, &eb);
	if (err == -ENOMEM || !err)
		return err;
	to->n--;
	to->bad++;
	to->first_bad = to->first_bad ? to->first_bad : i->line;
	return 0;
}

/* One list into the set; out (may be NULL): a line on what is in it. */
static int list_read(const struct conf_list *from, struct block *set, struct buf *out, struct errbuf *eb)
{
	struct into_set to = { .set = set };
	struct block_list_ops ops = { item_add, &to };
	struct block_list *l = malloc(sizeof(*l));
	int err = l ? block_list_add(set, from->name, from->allow, &to.list) : -ENOMEM;
	if (err) {
		does_not_fit(from, err, eb);
	} else {
		block_list_begin(l, from->allow, &ops);
		err = list_feed(from, l, eb);
	}
	if (!err && out) {
		uint64_t skipped = l->skipped + to.bad;
		uint64_t first = l->first_skipped && (!to.first_bad || l->first_skipped < to.first_bad)
					 ? l->first_skipped
					 : to.first_bad;
		bool ok = buf_printf(out, "%s: %" PRIu64 " names", from->name, to.n) &&
			  (!skipped || buf_printf(out,
					       ", %" PRIu64 " lines without sense here, the first of them "
					       "line %" PRIu64,
					       skipped, first)) &&
			  buf_append(out, "\n", 1);
		if (!ok)
			err = err_say(eb, -ENOMEM, "%s", out_of_memory);
	}
	free(l);
	return err;
}

struct block *lists_read(
	const struct conf_block *c, const uint64_t seed[2], struct buf *out, struct errbuf *eb)
{
	struct block *set = block_new(seed);
	int err = set ? 0 : err_say(eb, -ENOMEM, "%s", out_of_memory);
	for (size_t i = 0; !err && i < c->n_lists; i++)
		err = list_read(&c->lists[i], set, out, eb);
	if (!err)
		return set;
	block_put(set);
	return NULL;
}

uint32_t lists_missing(const struct conf_block *c)
{
	uint32_t missing = 0;
	for (size_t i = 0; i < c->n_lists; i++)
		if (c->lists[i].url && access(c->lists[i].file, F_OK) != 0 && errno == ENOENT)
			missing |= UINT32_C(1) << i;
	return missing;
}

/* ---- why ---- */

struct search {
	const struct conf_list *list;
	const struct dns_name *name;
	char text[DNS_NAME_TEXT];
	struct buf *out;
	bool asleep;
	struct lists_found *found;
};

/* Does this line of a list cover the name? Or -ENOMEM. */
static int item_covers(const struct search *s, const struct block_item *i)
{
	if (!i->name.len) {
		struct errbuf eb = { 0 };
		struct block_regex *x = block_regex_new(i->regex, i->regex_len, &eb);
		bool found = x && block_regex_matches(x, s->text, strlen(s->text));
		block_regex_free(x);
		return x || eb.code != -ENOMEM ? found : -ENOMEM;
	}
	if (dns_name_equal(&i->name, s->name))
		return (i->reach & BLOCK_NAME) != 0;
	return i->reach & BLOCK_BELOW && dns_name_within(s->name, &i->name);
}

static int item_search(void *arg, const struct block_item *i)
{
	struct search *s = arg;
	char text[DNS_NAME_TEXT];
	int covers = item_covers(s, i);
	if (covers <= 0)
		return covers;
	if (!s->asleep)
		++*(s->list->allow ? &s->found->allows : &s->found->blocks);
	bool ok = buf_printf(s->out, "%s by the list %s%s, ", s->list->allow ? "allowed" : "blocked",
			  s->list->name, s->asleep ? " (not now)" : "") &&
		  (!s->list->file || buf_printf(s->out, "%s:%" PRIu64 ": ", s->list->file, i->line)) &&
		  (i->name.len ? buf_printf(s->out, "%s%s\n", i->reach & BLOCK_BELOW ? "*." : "",
					 dns_name_format(&i->name, text))
			       : buf_printf(s->out, "/%.*s/\n", (int)i->regex_len, i->regex));
	return ok ? 0 : -ENOMEM;
}

int lists_explain(const struct conf_block *c, uint32_t lists, uint32_t awake, const struct dns_name *name,
	struct buf *out, struct lists_found *found, struct errbuf *eb)
{
	struct block_list *l = malloc(sizeof(*l));
	int err = l ? 0 : err_say(eb, -ENOMEM, "%s", out_of_memory);
	*found = (struct lists_found) { 0 };
	for (size_t i = 0; !err && i < c->n_lists; i++) {
		struct search s = { .list = &c->lists[i], .name = name, .out = out, .found = found };
		s.asleep = !(awake >> i & 1);
		struct block_list_ops ops = { item_search, &s };
		if (!(lists >> i & 1))
			continue;
		dns_name_format(name, s.text);
		block_list_begin(l, c->lists[i].allow, &ops);
		err = list_feed(&c->lists[i], l, eb);
	}
	free(l);
	return err;
}
