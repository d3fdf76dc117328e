#include "simnet/scenario/oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct scenario s = { 0 };
	struct errbuf eb;
	struct oracle_verdict v;

	if (scenario_parse("fuzz.yaml", (const char *)data, len, 0, &s, &eb))
		return 0;
	for (int a = 0; a < (int)s.n_nodes && a < 8; a++)
		for (int b = 0; b < (int)s.n_nodes && b < 8; b++)
			oracle_ask(&s, s.n_steps, a, b, &v);
	scenario_free(&s);
	return 0;
}
