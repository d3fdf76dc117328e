#include "mesh/base/test/fenced.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

void fence(struct fenced *f, size_t room)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (room + page - 1) / page * page;
	f->len = inner + 2 * page;
	f->map = mmap(NULL, f->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->map, MAP_FAILED);
	f->first = f->map + page;
	f->end = f->first + inner;
	assert_int_equal(mprotect(f->first, inner, PROT_READ | PROT_WRITE), 0);
}

void unfence(struct fenced *f)
{
	munmap(f->map, f->len);
}
