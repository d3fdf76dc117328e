/* A job of this cipher is done when it is handed in, so that the manager's ring never holds more than one. It is the
 * library's way for one packet as well: its calls that take a packet in pieces cost twice as much for a small one.
 *
 * Jobs point to the key and copy nothing of it; what the cipher derives from it is on the stack, and the library clears
 * that before it returns when it was built to (IMB_FEATURE_SAFE_DATA, which is asked for). */
#include "mesh/base/aead_mb.h"
#include "mesh/base/err.h"
#include "mesh/base/mb.h"

#include <intel-ipsec-mb.h>

const char *aead_mb_instructions(void)
{
	static const char *const names[] = { [IMB_ARCH_SSE] = "SSE",
		[IMB_ARCH_AVX] = "AVX",
		[IMB_ARCH_AVX2] = "AVX2",
		[IMB_ARCH_AVX512] = "AVX512" };
	IMB_MGR *m = mb_manager();
	return m && m->used_arch < ARRAY_LEN(names) ? names[m->used_arch] : NULL;
}

bool aead_mb_run(const uint8_t key[static AEAD_MB_KEY], const uint8_t nonce[static AEAD_NONCE], uint8_t *p,
	size_t len, bool seal, uint8_t tag[static AEAD_TAG])
{
	IMB_MGR *m = mb_manager();
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
