#include "mesh/base/key.h"
#include "mesh/cli/cli.h"
#include "mesh/os/program_text.h"
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *socket = getenv("ROPEWALK_SOCKET");
	struct cli c = {
		.loop = loop_new(), .out = stdout, .err = stderr, .terminal = isatty(STDERR_FILENO)
	};
	c.socket = socket && *socket ? socket : CLI_SOCKET_DEFAULT;
	if (!c.loop || !key_setup()) {
		fputs("ropewalk: out of memory or of randomness\n", stderr);
		return CLI_FAILED;
	}
	int code = cli_run(&c, argc, argv);
	loop_free(c.loop);
	return program_text_end("ropewalk", code, CLI_FAILED);
}
