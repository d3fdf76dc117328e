#include "simnet/keys.h"

#include "mesh/base/err.h"
#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
static struct termios before;
static volatile sig_atomic_t kept; /* 0: none came */

static void keep(int signo)
{
	kept = signo;
}

bool keys_begin(void)
{
	struct sigaction keeps = { .sa_handler = keep }, was;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (!sigaction(signals[i], NULL, &was) && was.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &keeps, NULL);
	struct termios keys = before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &keys);
	return true;
}

bool keys_are_over(void)
{
	return kept != 0;
}

void keys_end(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
	if (!kept)
		return;
	signal(kept, SIG_DFL);
	raise(kept);
}
