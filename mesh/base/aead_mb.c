/* A manager (200 KB) keeps the library's table of functions and a ring of jobs; it belongs to one thread, is made at that
 * thread's first use and goes with it. A job of this cipher is done when it is handed in, so that the ring never holds
 * more than one. It is the library's way for one packet as well: its calls that take a packet in pieces cost twice as much
 * for a small one.
 *
 * Jobs point to the key and copy nothing of it; what the cipher derives from it is on the stack, and the library clears
 * that before it returns when it was built to (IMB_FEATURE_SAFE_DATA, which is asked for). */
#include "mesh/base/aead_mb.h"
#include "mesh/base/err.h"

#include <intel-ipsec-mb.h>
#include <link.h>
#include <pthread.h>
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

static bool set_up_manager(IMB_MGR *m)
{
	IMB_ARCH arch;
	init_mb_mgr_auto(m, &arch);
	/* Its self-test has been through all ciphers: three megabytes resident, of which one cipher stays in use. */
	(void)dl_iterate_phdr(give_back_code, (void *)(uintptr_t)m->submit_job_nocheck);
	return is_sound(m);
}

/* This thread's, or NULL. */
static IMB_MGR *manager(void)
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

const char *aead_mb_instructions(void)
{
	static const char *const names[] = { [IMB_ARCH_SSE] = "SSE",
		[IMB_ARCH_AVX] = "AVX",
		[IMB_ARCH_AVX2] = "AVX2",
		[IMB_ARCH_AVX512] = "AVX512" };
	IMB_MGR *m = manager();
	return m && m->used_arch < ARRAY_LEN(names) ? names[m->used_arch] : NULL;
}

bool aead_mb_run(const uint8_t key[static AEAD_MB_KEY], const uint8_t nonce[static AEAD_NONCE], uint8_t *p,
	size_t len, bool seal, uint8_t tag[static AEAD_TAG])
{
	IMB_MGR *m = manager();
	if (!m)
		return false;
	IMB_JOB *job = IMB_GET_NEXT_JOB(m);
	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = job->dec_keys = key;
	job->key_len_in_bytes = AEAD_KEY;
	job->iv = nonce;
	job->iv_len_in_bytes = AEAD_NONCE;
	job->u.CHACHA20_POLY1305.aad = nonce; /* of no length, and not NULL */
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
	job->src = job->dst = p;
	job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = len;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = AEAD_TAG;
	job = IMB_SUBMIT_JOB_NOCHECK(m);
	return job && job->status == IMB_STATUS_COMPLETED;
}
