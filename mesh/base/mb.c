/* A manager (200 KB) keeps the library's table of functions and a ring of jobs; it belongs to one thread, is made at that
 * thread's first use and goes with it. */
#include "mesh/base/mb.h"

#include <intel-ipsec-mb.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>

static pthread_key_t manager_key; /* written by make_key alone */
static pthread_once_t key_made = PTHREAD_ONCE_INIT;

static void free_manager(void *m)
{
	free_mb_mgr(m);
}

static void make_key(void)
{
	if (pthread_key_create(&manager_key, free_manager) != 0)
		abort(); /* of 1024 keys a process uses a handful */
}

/* A processor that the library does not know is an error of its start; without AES-NI it is one. */
static bool is_sound(IMB_MGR *m)
{
	static const uint64_t wanted =
		IMB_FEATURE_SAFE_DATA | IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS;
	return imb_get_errno(m) == 0 && (m->features & wanted) == wanted;
}

/* The code of the library that holds the given address: mapped as it is in the file, it comes back page by page where it is
 * called. */
static int give_back_code(struct dl_phdr_info *of, size_t size, void *arg)
{
	uintptr_t at = (uintptr_t)arg, page = getauxval(AT_PAGESZ);
	(void)size;
	for (size_t i = 0; i < of->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &of->dlpi_phdr[i];
		uintptr_t from = of->dlpi_addr + part->p_vaddr;
		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || part->p_flags & PF_W || at < from ||
			at - from >= part->p_memsz)
			continue;
		from -= from % page;
		(void)madvise((void *)from, part->p_memsz, MADV_DONTNEED);
		return 1;
	}
	return 0;
}

void mb_give_back_code(const struct IMB_MGR *m)
{
	(void)dl_iterate_phdr(give_back_code, (void *)(uintptr_t)m->submit_job_nocheck);
}

static bool set_up_manager(IMB_MGR *m)
{
	IMB_ARCH arch;
	init_mb_mgr_auto(m, &arch);
	/* Its self-test has been through all ciphers: three megabytes resident, of which one cipher stays in use. */
	mb_give_back_code(m);
	return is_sound(m);
}

struct IMB_MGR *mb_manager(void)
{
	(void)pthread_once(&key_made, make_key);
	IMB_MGR *m = pthread_getspecific(manager_key);
	if (m)
		return m;
	m = alloc_mb_mgr(0);
	if (m && (!set_up_manager(m) || pthread_setspecific(manager_key, m) != 0)) {
		free_mb_mgr(m);
		m = NULL;
	}
	return m;
}
