#include "mesh/os/completion.h"
#include "mesh/base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const struct opt_row global[] = {
	{ "config", "c", OPT_STRING, 0, "FILE", "settings" },
	{ "level", NULL, OPT_STRING, 0, "error|warn", "how much: it's [told]" },
	{ 0 },
};
static const struct opt_row go_rows[] = { { "far", NULL, OPT_BOOL, 0, NULL, "far away" }, { 0 } };
static const struct man_verb go = { "go", "FILE", "go there", NULL, go_rows };
static const struct man_verb user_add = { "users add", "NAME", "add one", NULL, go_rows };
static const struct man_verb user_del = { "users delete", "NAME", "delete one", NULL, NULL };
static const struct opt_row call_rows[] = { { "by", NULL, OPT_STRING, 0, "NAME|IP", "by that one" }, { 0 } };
static const struct man_verb call = { "call", "[NAME|IP]", "call one", NULL, call_rows };
static const struct man_verb make = { "make", "[tea|iced-tea]", "make one", NULL, NULL };
static const struct man_verb *const verbs[] = { &go, &user_add, &user_del, &call, &make, NULL };
static const struct man_program program = { .name = "some-prog",
	.section = 1,
	.summary = "a program",
	.options = global,
	.verbs = verbs,
	.machines = "tell them" };

/* Runs COMMAND in that shell, with the script's path in $f; what it prints, errors too, in out. */
static void run_shell(const char *shell, const char *command, char *out, size_t cap)
{
	char path[] = "/tmp/completion-XXXXXX", line[2048];
	struct errbuf eb;
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	assert_non_null(f);
	assert_int_equal(completion_print(&program, strstr(shell, "zsh") ? "zsh" : shell, f, &eb), 0);
	fclose(f);
	setenv("f", path, 1);
	snprintf(line, sizeof(line), "cd /etc && exec %s -c '%s' 2>&1",
		strcmp(shell, "bash") ? shell : "bash --norc", command);
	FILE *p = popen(line, "r");
	assert_non_null(p);
	size_t n = fread(out, 1, cap - 1, p);
	out[n] = '\0';
	pclose(p);
	unlink(path);
}

static void test_bash(void **state)
{
	(void)state;
	static const struct {
		const char *line, *want;
	} rows[] = {
		{ "some-prog \"\"", "go users call make" },
		{ "some-prog g", "go" },
		{ "some-prog users \"\"", "add delete" },
		{ "some-prog users d", "delete" },
		{ "some-prog --lev", "--level" },
		{ "some-prog users add --f", "--far" },
		{ "some-prog users delete --f", "" },
		{ "some-prog --level \"\"", "error warn" },
		{ "some-prog --level w", "warn" },
		{ "some-prog -c hostnam", "hostname" },
		{ "some-prog go hostnam", "hostname" },
		{ "some-prog -c x users \"\"", "add delete" },
		{ "some-prog call \"\"", "bob bill fd7a::1" },
		{ "some-prog call b", "bob bill" },
		{ "some-prog call --by bi", "bill" },
		{ "some-prog call --b", "--by" },
		{ "some-prog make \"\"", "tea iced-tea" },
		{ "some-prog make ic", "iced-tea" },
		/* Bash takes an = for a word. */
		{ "some-prog call --by =", "bob bill fd7a::1" },
		{ "some-prog call --by = bi", "bill" },
		{ "some-prog --level = w", "warn" },
		{ "some-prog --level = warn --json = true users \"\"", "add delete" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char command[512], out[512];
		snprintf(command, sizeof(command),
			". $f; some-prog() { [[ $* = \"tell them\" ]] && printf \"bob\\nbill\\nfd7a::1\\n\"; "
			"echo no >&2; }; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _some_prog; "
			"echo "
			"\"${COMPREPLY[*]}\"",
			rows[i].line);
		run_shell("bash", command, out, sizeof(out));
		out[strcspn(out, "\n")] = '\0';
		if (strcmp(out, rows[i].want))
			print_error("%s\n", rows[i].line);
		assert_string_equal(out, rows[i].want);
	}
}

static bool has_shell(const char *shell)
{
	char command[128];
	snprintf(command, sizeof(command), "command -v %s >/dev/null", shell);
	return system(command) == 0;
}

static void test_fish(void **state)
{
	(void)state;
	char out[512];
	if (!has_shell("fish"))
		skip();
	run_shell("fish", "source $f; complete -C \"some-prog users \"", out, sizeof(out));
	assert_string_equal(out, "add\tadd one\ndelete\tdelete one\n");
	run_shell("fish", "source $f; complete -C \"some-prog --level w\"", out, sizeof(out));
	assert_non_null(strstr(out, "warn"));
}

static void test_zsh(void **state)
{
	(void)state;
	char out[512];
	if (!has_shell("zsh"))
		skip();
	/* Its completion system runs at a terminal only; what it would be told is seen by standing in for it. */
	run_shell("zsh",
		"_describe() { print -l -- $verbs }; _arguments() { print -l -- $@[-1] }; words=(some-prog "
		"-c x "
		"users \"\"); CURRENT=5; . $f; words=(some-prog go -); CURRENT=3; PREFIX=-; _some_prog",
		out, sizeof(out));
	assert_string_equal(out, "add:add one\ndelete:delete one\n--far[far away]\n");
}

/* A terminal whose zsh has the script in $f. Each line is typed, with a tab behind it; what stands there then is printed. */
static const char typist[] =
	"zmodload zsh/zpty && zpty z zsh -f -i && zpty -w z \"autoload -Uz compinit; compinit -D -u; "
	"some-prog() { [[ \\$* = tell\\ them ]] && print -l bob bill fd7a::1; }; "
	"functions[_some_prog]=\\$(<$f); "
	"compdef _some_prog some-prog; say() { print -r -- \\<\\$BUFFER\\>; BUFFER=; }; zle -N say; "
	"bindkey ^T say; bindkey ^I complete-word; PROMPT=; echo re\\ady\" && zpty -r z got \"*ready*\" && "
	"for line in %s; do zpty -w -n z \"$line$(printf \"\\t\\024\")\"; "
	"zpty -r z got \"*<some-prog*>*\"; print -r -- ${${got##*<}%%%%>*}; done";

static void test_zsh_typed(void **state)
{
	(void)state;
	char command[1800], out[1024];
	if (!has_shell("zsh"))
		skip();
	snprintf(command, sizeof(command), typist,
		"\"some-prog us\" \"some-prog users de\" \"some-prog go --f\" \"some-prog go hostnam\" "
		"\"some-prog call bo\" \"some-prog call x bil\" \"some-prog call x --b\" \"some-prog call "
		"--by bi\" "
		"\"some-prog call --by=fd\"");
	run_shell("timeout 300 zsh", command, out, sizeof(out));
	assert_string_equal(out,
		"some-prog users \nsome-prog users delete \nsome-prog go --far \nsome-prog go hostname \n"
		"some-prog call bob \nsome-prog call x bill \nsome-prog call x --by=\nsome-prog call --by "
		"bill \n"
		"some-prog call --by=fd7a::1 \n");
}

static void test_zsh_and_fish_text(void **state)
{
	(void)state;
	char *text;
	size_t len;
	struct errbuf eb;
	FILE *to = open_memstream(&text, &len);
	completion_print(&program, "zsh", to, &eb);
	fclose(to);
	assert_non_null(strstr(text, "#compdef some-prog\n"));
	assert_non_null(strstr(text, "'--level=[how much\\: it'\\''s \\[told\\]]:error|warn:(error warn)'"));
	assert_non_null(strstr(text, "users) verbs=( 'add:add one' 'delete:delete one' )"));
	assert_non_null(strstr(text, "'call') _arguments '*:machine:($(some-prog tell them 2>/dev/null))'"));
	assert_non_null(strstr(text, "'--by=[by that one]:NAME|IP:($(some-prog tell them 2>/dev/null))'"));
	free(text);
	to = open_memstream(&text, &len);
	completion_print(&program, "fish", to, &eb);
	fclose(to);
	assert_non_null(strstr(text, "complete -c some-prog -l config -s c -r -F -d 'settings'\n"));
	assert_non_null(strstr(
		text, "-n '__fish_seen_subcommand_from users; and __fish_seen_subcommand_from add' -l far"));
	assert_non_null(strstr(text, "_from call' -a '(some-prog tell them 2>/dev/null)'\n"));
	assert_non_null(strstr(text, "-l by -x -a '(some-prog tell them 2>/dev/null)' -d"));
	free(text);
}

static void test_unknown_shell(void **state)
{
	(void)state;
	struct errbuf eb;
	assert_int_not_equal(completion_print(&program, "tcsh", stdout, &eb), 0);
	assert_string_equal(eb.text, "no completion for \"tcsh\"; there is one for bash, zsh and fish");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bash),
		cmocka_unit_test(test_fish),
		cmocka_unit_test(test_zsh),
		cmocka_unit_test(test_zsh_typed),
		cmocka_unit_test(test_zsh_and_fish_text),
		cmocka_unit_test(test_unknown_shell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
