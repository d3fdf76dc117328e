#include "mesh/os/terminal.h"

#include "mesh/base/err.h"
#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static struct sigaction actions[ARRAY_LEN(signals)];
static struct termios before;

/* Calls what POSIX lets a handler call. The signal comes again when this returns. */
static void end_by(int signo)
{
	terminal_end();
	raise(signo);
}

bool terminal_begin(enum terminal_mode mode)
{
	struct sigaction ends = { .sa_handler = end_by };

	sigemptyset(&ends.sa_mask);
	sigaddset(&ends.sa_mask, SIGTTOU); /* of tcsetattr, in the background */
	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (!sigaction(signals[i], NULL, &actions[i]) && actions[i].sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &ends, NULL);
	struct termios now = before;
	switch (mode) {
	case TERMINAL_KEYS: now.c_lflag &= ~(tcflag_t)(ICANON | ECHO); break;
	case TERMINAL_HIDDEN: now.c_lflag &= ~(tcflag_t)ECHO; break;
	case TERMINAL_RAW: cfmakeraw(&now); break;
	}
	/* A password that was typed before it was asked for has been shown. */
	(void)tcsetattr(STDIN_FILENO, mode == TERMINAL_HIDDEN ? TCSAFLUSH : TCSANOW, &now);
	return true;
}

void terminal_end(void)
{
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &actions[i], NULL);
}
