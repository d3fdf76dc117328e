#include "simnet/kernel.h"
int kernel_self_test(struct engine *e, struct errbuf *eb)
{
	(void)e;
	(void)eb;
	return 0;
}
