#include "mesh/os/privilege.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of LeakSanitizer's runtime; there only in a build with it. */
__attribute__((weak)) extern int __lsan_do_recoverable_leak_check(void);

void privilege_hide_memory(void)
{
	const struct rlimit none = { 0 };
	(void)setrlimit(RLIMIT_CORE, &none);
	if (!__lsan_do_recoverable_leak_check)
		(void)prctl(PR_SET_DUMPABLE, 0);
}

static int get_capabilities(uint64_t *permitted, uint64_t *inheritable)
{
	struct __user_cap_header_struct who = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };
	if (syscall(SYS_capget, &who, d) != 0)
		return -errno;
	*permitted = (uint64_t)d[1].permitted << 32 | d[0].permitted;
	*inheritable = (uint64_t)d[1].inheritable << 32 | d[0].inheritable;
	return 0;
}

/* Permitted and effective; inheritable: what programs that this one starts may have. */
static int set_capabilities(uint64_t caps, uint64_t inheritable)
{
	struct __user_cap_header_struct who = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };
	d[0].permitted = d[0].effective = (uint32_t)caps;
	d[1].permitted = d[1].effective = (uint32_t)(caps >> 32);
	d[0].inheritable = (uint32_t)inheritable;
	d[1].inheritable = (uint32_t)(inheritable >> 32);
	return syscall(SYS_capset, &who, d) == 0 ? 0 : -errno;
}

static bool all_ours(const char *const *places, size_t n)
{
	struct stat st;
	for (size_t i = 0; i < n; i++)
		if (places[i] && *places[i] && stat(places[i], &st) == 0 && st.st_uid != geteuid())
			return false;
	return true;
}

int privilege_drop(const int *keep, size_t n, const char *const *places, size_t n_places, struct errbuf *eb)
{
	uint64_t have = 0, inheritable = 0,
		 want = all_ours(places, n_places) ? 0 : UINT64_C(1) << CAP_DAC_OVERRIDE;
	int err = get_capabilities(&have, &inheritable);
	for (size_t i = 0; i < n; i++)
		want |= UINT64_C(1) << keep[i];
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		err = -errno;
	/* The bound first: taking from it needs CAP_SETPCAP, which goes with the rest. */
	for (int cap = 0; !err && have & UINT64_C(1) << CAP_SETPCAP && cap < 64; cap++)
		if (!(want & UINT64_C(1) << cap) && prctl(PR_CAPBSET_READ, cap) == 1)
			(void)prctl(PR_CAPBSET_DROP, cap);
	/* Root's children get what the bound leaves. Another user's get ambient ones alone, and nft needs what we have. */
	if (geteuid() == 0) {
		(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
		inheritable = 0;
	}
	/* A unit of systemd has taken them already, and the right to change them
	 * (SystemCallFilter=~@privileged). */
	if (!err && (have & ~want))
		err = set_capabilities(have & want, inheritable & want);
	return err ? err_set(eb, err, "drop rights that are not needed") : 0;
}
