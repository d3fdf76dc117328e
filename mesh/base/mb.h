/* ipsec-mb's manager; aead_mb.c and gcm_mb.c alone use it, where the library is built in. */
#ifndef RW_BASE_MB_H
#define RW_BASE_MB_H

struct IMB_MGR;
/* This thread's. NULL: a processor that the library does not know, its own self-test failed, it leaves secrets on the
 * stack, or memory is short. */
struct IMB_MGR *mb_manager(void);
/* What was called of the library's code until now and will hardly be again need not stay in memory. */
void mb_give_back_code(const struct IMB_MGR *m);

#endif
