#include "mesh/proto/json_memory.h"

#include "mesh/base/buf.h"
#include "mesh/base/key.h"
#include <malloc.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* The reading at hand: what it has allocated, newest last, by the functions that were set before it. */
struct reading {
	json_malloc_t alloc;
	json_free_t release;
	void **blocks;
	size_t n, size;
	jmp_buf failed;
};

/* The library calls its allocator without an argument of ours. */
static _Thread_local struct reading *at_hand;

static bool json_memory_make_room(struct reading *r)
{
	if (r->n < r->size)
		return true;
	size_t size = r->size ? r->size * 2 : 64;
	void **blocks = reallocarray(r->blocks, size, sizeof(void *));
	if (!blocks)
		return false;
	r->blocks = blocks;
	r->size = size;
	return true;
}

static void *alloc_block(size_t n)
{
	struct reading *r = at_hand;
	void *p = json_memory_make_room(r) ? r->alloc(n) : NULL;
	if (!p)
		longjmp(r->failed, 1);
	r->blocks[r->n++] = p;
	return p;
}

/* What is given back while a text is read was allocated a moment ago. */
static void release_block(void *p)
{
	struct reading *r = at_hand;
	size_t i = r->n;
	while (i && r->blocks[i - 1] != p)
		i--;
	if (p && i)
		r->blocks[i - 1] = r->blocks[--r->n];
	r->release(p);
}

static json_t *load(struct reading *r, const char *text, size_t len, size_t flags, json_error_t *e)
{
	if (!setjmp(r->failed))
		return json_loadb(text, len, flags, e);
	while (r->n)
		r->release(r->blocks[--r->n]);
	r->size = 0; /* tells the caller */
	return NULL;
}

json_t *json_memory_load(const char *text, size_t len, size_t flags, json_error_t *e, bool *out_of_memory)
{
	struct reading r = { .n = 0 };
	json_get_alloc_funcs(&r.alloc, &r.release);
	at_hand = &r;
	json_set_alloc_funcs(alloc_block, release_block);
	json_t *doc = load(&r, text, len, flags, e);
	json_set_alloc_funcs(r.alloc, r.release);
	at_hand = NULL;
	if (out_of_memory)
		*out_of_memory = !doc && !r.size;
	free(r.blocks);
	return doc;
}

static void wipe_block(void *p)
{
	if (p)
		key_wipe(p, malloc_usable_size(p));
	free(p);
}

void json_memory_wipes(void)
{
	json_set_alloc_funcs(malloc, wipe_block);
}

struct writing {
	struct buf to;
	bool failed;
};

static int add_text(const char *text, size_t len, void *arg)
{
	struct writing *w = arg;
	w->failed = w->failed || !buf_append(&w->to, text, len);
	return w->failed ? -1 : 0;
}

char *json_memory_dump(const json_t *v, size_t flags)
{
	struct writing w = { .to.secret = true };
	if (!json_dump_callback(v, add_text, &w, flags) && !add_text("", 1, &w))
		return (char *)w.to.p; /* nothing was taken from its start */
	buf_free(&w.to);
	return NULL;
}

void json_text_free(char *text)
{
	if (text)
		key_wipe(text, strlen(text));
	free(text);
}
