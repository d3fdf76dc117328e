/* All three scripts do the same: the words before the cursor that are no options name a verb of one or two
 * words, so what can come next is the next word of a verb, an option of the verb found or of the program, or
 * a value, of the option or the verb: a file where it is called so, one of its words where they are written "a|b", a machine's
 * name or address, of which the program is asked at that moment. */
#include "mesh/os/completion.h"
#include "mesh/base/err.h"
#include <string.h>

enum { VERB_WORD = 40, CHOICES = 200 };

/* The first word of a verb's name, and what follows it ("" = nothing). */
static const char *split_verb(const struct man_verb *v, char first[VERB_WORD])
{
	size_t n = strcspn(v->name, " ");
	snprintf(first, VERB_WORD, "%.*s", (int)n, v->name);
	return v->name + n + (v->name[n] == ' ');
}

/* The verb before has the same first word: verbs of one group stand together. */
static bool is_same_group(const struct man_verb *const *all, size_t i)
{
	char a[VERB_WORD], b[VERB_WORD];
	split_verb(all[i], a);
	return i && split_verb(all[i - 1], b) && !strcmp(a, b);
}

static bool is_file(const char *arg)
{
	static const char *const files[] = { "FILE", "PATH", "DIR", "FOLDER" };
	for (size_t i = 0; arg && i < sizeof(files) / sizeof(*files); i++)
		if (!strncmp(arg, files[i], strlen(files[i])))
			return true;
	return false;
}

/* A machine, by name or address, of those that the program can tell. */
static bool is_machine(const struct man_program *p, const char *arg)
{
	static const char *const machines[] = { "NAME|IP", "[NAME|IP]", "IP[:PORT]|NAME", "MACHINE" };
	for (size_t i = 0; p->machines && arg && i < sizeof(machines) / sizeof(*machines); i++)
		if (!strcmp(arg, machines[i]))
			return true;
	return false;
}

/* A command of the shell; all three read its words so. */
static void put_machines(const struct man_program *p, FILE *to)
{
	fprintf(to, "(%s %s 2>/dev/null)", p->name, p->machines);
}

/* "a|b|c", all lower case: what can be written, not the name of a value. */
static bool is_choice(const char *arg)
{
	return arg && strchr(arg, '|') && arg[strspn(arg, "abcdefghijklmnopqrstuvwxyz0123456789-|")] == '\0';
}

static void put_choices(const char *arg, FILE *to)
{
	for (const char *c = arg; *c; c++)
		fputc(*c == '|' ? ' ' : *c, to);
}

/* The choices of a verb's words, "a|b" or "[a|b]", into buf; "" where these are not written so. */
static const char *verb_choices(const struct man_verb *v, char *buf, size_t cap)
{
	const char *words = v->words ? v->words : "";
	bool optional = *words == '[';
	size_t n = strcspn(words + optional, "]");

	snprintf(buf, cap, "%.*s", (int)n, words + optional);
	if (n >= cap || words[optional + n + (words[optional + n] == ']')] || !is_choice(buf))
		*buf = '\0';
	return buf;
}

static const char *dashes(const struct opt_row *r)
{
	return r->name[1] ? "--" : "-";
}

/* A shell function's name: "ropewalk-control" is _ropewalk_control. */
static void put_function(const struct man_program *p, FILE *to)
{
	fputc('_', to);
	for (const char *c = p->name; *c; c++)
		fputc(*c == '-' ? '_' : *c, to);
}

/* Text between single quotes; what zsh would take for its own is escaped when it says so. */
static void put_quoted(const char *text, const char *escape, FILE *to)
{
	for (const char *c = text; *c; c++) {
		if (*c == '\'')
			fputs("'\\''", to);
		else if (strchr(escape, *c))
			fprintf(to, "\\%c", *c);
		else
			fputc(*c == '\n' ? ' ' : *c, to);
	}
}

/* Options that take a value, as a pattern of `case`: the word behind one is no verb. */
static void put_valued(const struct opt_row *rows, FILE *to)
{
	for (const struct opt_row *r = rows; r && r->name; r++) {
		if (!r->arg)
			continue;
		fprintf(to, "|%s%s", dashes(r), r->name);
		if (r->alias)
			fprintf(to, "|%s%s", r->alias[1] ? "--" : "-", r->alias);
	}
}

static void put_all_valued(const struct man_program *p, FILE *to)
{
	fputs("''", to);
	put_valued(p->options, to);
	for (size_t i = 0; p->verbs && p->verbs[i]; i++)
		put_valued(p->verbs[i]->options, to);
}

/* --- bash --- */

static void bash_options(const struct opt_row *rows, FILE *to)
{
	for (const struct opt_row *r = rows; r && r->name; r++)
		fprintf(to, " %s%s", dashes(r), r->name);
}

/* Which values follow an option; the same name means the same in all verbs. */
static void bash_values(const struct man_program *p, const struct opt_row *rows, FILE *to)
{
	for (const struct opt_row *r = rows; r && r->name; r++) {
		if (!is_file(r->arg) && !is_choice(r->arg) && !is_machine(p, r->arg))
			continue;
		fprintf(to, "\t%s%s", dashes(r), r->name);
		if (r->alias)
			fprintf(to, "|%s%s", r->alias[1] ? "--" : "-", r->alias);
		fputs(") ", to);
		if (is_file(r->arg)) {
			fputs("COMPREPLY=($(compgen -f -- \"$cur\"))", to);
		} else if (is_machine(p, r->arg)) {
			fputs("COMPREPLY=($(compgen -W \"$", to);
			put_machines(p, to);
			fputs("\" -- \"$cur\"))", to);
		} else {
			fputs("COMPREPLY=($(compgen -W '", to);
			put_choices(r->arg, to);
			fputs("' -- \"$cur\"))", to);
		}
		fputs("; return ;;\n", to);
	}
}

/* What can follow the words in $verb. */
static void bash_verbs(const struct man_program *p, FILE *to)
{
	char first[VERB_WORD];
	fputs("\t'') next='", to);
	for (size_t i = 0; p->verbs && p->verbs[i]; i++)
		if (!is_same_group(p->verbs, i) && split_verb(p->verbs[i], first))
			fprintf(to, "%s%s", i ? " " : "", first);
	fputs("' ;;\n", to);
	for (size_t i = 0; p->verbs && p->verbs[i]; i++) {
		const char *second = split_verb(p->verbs[i], first);
		if (!*second)
			continue;
		if (!is_same_group(p->verbs, i))
			fprintf(to, "\t'%s') next='", first);
		fprintf(to, "%s ", second);
		if (!p->verbs[i + 1] || !is_same_group(p->verbs, i + 1))
			fputs("' ;;\n", to);
	}
	for (size_t i = 0; p->verbs && p->verbs[i]; i++) {
		const struct man_verb *v = p->verbs[i];
		char choices[CHOICES];
		verb_choices(v, choices, sizeof(choices));
		if (!v->options && !is_file(v->words) && !*choices)
			continue;
		fprintf(to, "\t'%s'%s) options=\"$options", v->name, strchr(v->name, ' ') ? "" : "*");
		bash_options(v->options, to);
		fputc('"', to);
		if (is_machine(p, v->words)) {
			fputs(" next=$", to);
			put_machines(p, to);
		} else if (*choices) {
			fputs(" next='", to);
			put_choices(choices, to);
			fputc('\'', to);
		}
		fprintf(to, "%s ;;\n", is_file(v->words) ? " files=1" : "");
	}
}

static void print_bash(const struct man_program *p, FILE *to)
{
	put_function(p, to);
	fputs("() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= next= "
	      "files= i\n"
	      "\tlocal options='",
		to);
	bash_options(p->options, to);
	/* --far=VALUE is three words there. */
	fputs("'\n\tCOMPREPLY=()\n\t[[ $cur == = ]] && cur=\n"
	      "\t[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n\tcase $prev in\n",
		to);
	bash_values(p, p->options, to);
	for (size_t i = 0; p->verbs && p->verbs[i]; i++)
		bash_values(p, p->verbs[i]->options, to);
	fputs("\tesac\n\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t", to);
	put_all_valued(p, to);
	fputs(") [[ ${COMP_WORDS[i+1]} == = ]] && ((i++)); ((i++)) ;;\n\t\t=) ((i++)) ;;\n"
	      "\t\t-*) ;;\n\t\t*) verb=\"${verb:+$verb }${COMP_WORDS[i]}\" "
	      ";;\n\t\tesac\n\tdone\n"
	      "\tcase $verb in\n",
		to);
	bash_verbs(p, to);
	fputs("\tesac\n\t[[ $cur == -* ]] && next=$options\n\tCOMPREPLY=($(compgen -W \"$next\" -- "
	      "\"$cur\"))\n"
	      "\t[[ $files && $cur != -* ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
	      "\treturn 0\n}\ncomplete -o filenames -F ",
		to);
	put_function(p, to);
	fprintf(to, " %s\n", p->name);
}

/* --- zsh --- */

static void zsh_options(const struct man_program *p, const struct opt_row *rows, FILE *to)
{
	for (const struct opt_row *r = rows; r && r->name; r++) {
		/* --far=VALUE and --far VALUE */
		fprintf(to, " \\\n\t\t'%s%s%s[", dashes(r), r->name, r->arg && r->name[1] ? "=" : "");
		put_quoted(r->help, "[]:\\", to);
		fputc(']', to);
		if (r->arg) {
			fputc(':', to);
			put_quoted(r->arg, "[]:\\", to);
			fputc(':', to);
		}
		if (is_file(r->arg)) {
			fputs("_files", to);
		} else if (is_machine(p, r->arg)) {
			fputs("($", to);
			put_machines(p, to);
			fputc(')', to);
		} else if (is_choice(r->arg)) {
			fputc('(', to);
			put_choices(r->arg, to);
			fputc(')', to);
		}
		fputc('\'', to);
	}
}

/* What is no option. With nothing between its first two colons no option would be one behind such a word. */
static void zsh_words(const struct man_program *p, const struct man_verb *v, FILE *to)
{
	char choices[CHOICES];

	if (is_machine(p, v->words)) {
		fputs("'*:machine:($", to);
		put_machines(p, to);
		fputs(")'", to);
	} else if (*verb_choices(v, choices, sizeof(choices))) {
		fputs("'*:word:(", to);
		put_choices(choices, to);
		fputs(")'", to);
	} else {
		fputs(is_file(v->words) ? "'*:file:_files'" : "'*: : '", to);
	}
}

static void zsh_describe(const char *word, const char *summary, FILE *to)
{
	fprintf(to, " '%s:", word);
	put_quoted(summary, "\\", to);
	fputc('\'', to);
}

static void zsh_groups(const struct man_program *p, FILE *to)
{
	char first[VERB_WORD];
	for (size_t i = 0; p->verbs[i]; i++) {
		const char *second = split_verb(p->verbs[i], first);
		if (!*second)
			continue;
		if (!is_same_group(p->verbs, i))
			fprintf(to, "\t%s) verbs=(", first);
		zsh_describe(second, p->verbs[i]->summary, to);
		if (!p->verbs[i + 1] || !is_same_group(p->verbs, i + 1))
			fputs(" )\n\t\t(( n == 1 )) && { _describe verb verbs; return }\n\t\tname=\"$name "
			      "$said[2]\" ;;\n",
				to);
	}
}

static void print_zsh(const struct man_program *p, FILE *to)
{
	char first[VERB_WORD];
	fprintf(to, "#compdef %s\n", p->name);
	put_function(p, to);
	fputs("() {\n", to);
	if (!p->verbs) {
		fputs("\t_arguments", to);
		zsh_options(p, p->options, to);
	} else {
		fputs("\tlocal -a verbs said\n\tlocal name n i\n\tfor ((i = 2; i < CURRENT; i++)); do\n"
		      "\t\tcase $words[i] in\n\t\t",
			to);
		put_all_valued(p, to);
		fputs(") ((i++)) ;;\n\t\t-*) ;;\n\t\t*) said+=($words[i]) ;;\n\t\tesac\n\tdone\n"
		      "\tn=$#said name=$said[1]\n"
		      "\tif (( n == 0 )) && [[ $PREFIX != -* ]]; then\n\t\tverbs=(",
			to);
		for (size_t i = 0; p->verbs[i]; i++)
			if (!is_same_group(p->verbs, i)) {
				bool group = *split_verb(p->verbs[i], first);
				zsh_describe(first, group ? "" : p->verbs[i]->summary, to);
			}
		fputs(" )\n\t\t_describe verb verbs\n\t\treturn\n\tfi\n\tcase $name in\n", to);
		zsh_groups(p, to);
		fputs("\tesac\n\tcase $name in\n", to);
		for (size_t i = 0; p->verbs[i]; i++) {
			const struct man_verb *v = p->verbs[i];
			char choices[CHOICES];
			if (!v->options && !is_file(v->words) && !*verb_choices(v, choices, sizeof(choices)))
				continue;
			fprintf(to, "\t'%s') _arguments ", v->name);
			zsh_words(p, v, to);
			zsh_options(p, v->options, to);
			fputs(" ;;\n", to);
		}
		fputs("\t*) _arguments '*: : '", to);
		zsh_options(p, p->options, to);
		fputs(" ;;\n\tesac", to);
	}
	fputs("\n}\n", to);
	put_function(p, to);
	fputs(" \"$@\"\n", to);
}

/* --- fish --- */

static void fish_options(
	const struct man_program *p, const struct man_verb *v, const struct opt_row *rows, FILE *to)
{
	char first[VERB_WORD];
	for (const struct opt_row *r = rows; r && r->name; r++) {
		fprintf(to, "complete -c %s", p->name);
		const char *second = v ? split_verb(v, first) : "";
		if (v)
			fprintf(to, " -n '__fish_seen_subcommand_from %s%s%s'", first,
				*second ? "; and __fish_seen_subcommand_from " : "", second);
		fprintf(to, " -%c %s", r->name[1] ? 'l' : 's', r->name);
		if (r->alias)
			fprintf(to, " -%c %s", r->alias[1] ? 'l' : 's', r->alias);
		if (is_choice(r->arg)) {
			fputs(" -x -a '", to);
			put_choices(r->arg, to);
			fputc('\'', to);
		} else if (is_machine(p, r->arg)) {
			fputs(" -x -a '", to);
			put_machines(p, to);
			fputc('\'', to);
		} else if (r->arg) {
			fputs(is_file(r->arg) ? " -r -F" : " -x", to);
		}
		fputs(" -d '", to);
		put_quoted(r->help, "\\", to);
		fputs("'\n", to);
	}
}

static void fish_verb(const struct man_program *p, size_t i, FILE *to)
{
	const struct man_verb *v = p->verbs[i];
	char first[VERB_WORD], choices[CHOICES];
	const char *second = split_verb(v, first);
	if (!is_same_group(p->verbs, i)) {
		fprintf(to, "complete -c %s -n __fish_use_subcommand -a %s -d '", p->name, first);
		put_quoted(*second ? "" : v->summary, "\\", to);
		fputs("'\n", to);
	}
	if (*second) {
		fprintf(to, "complete -c %s -n '__fish_seen_subcommand_from %s' -a %s -d '", p->name, first,
			second);
		put_quoted(v->summary, "\\", to);
		fputs("'\n", to);
	}
	if (is_file(v->words))
		fprintf(to, "complete -c %s -n '__fish_seen_subcommand_from %s' -F\n", p->name, first);
	if (is_machine(p, v->words)) {
		fprintf(to, "complete -c %s -n '__fish_seen_subcommand_from %s' -a '", p->name, first);
		put_machines(p, to);
		fputs("'\n", to);
	}
	if (*verb_choices(v, choices, sizeof(choices))) {
		fprintf(to, "complete -c %s -n '__fish_seen_subcommand_from %s%s%s' -a '", p->name, first,
			*second ? "; and __fish_seen_subcommand_from " : "", second);
		put_choices(choices, to);
		fputs("'\n", to);
	}
	fish_options(p, v, v->options, to);
}

static void print_fish(const struct man_program *p, FILE *to)
{
	fprintf(to, "complete -c %s -f\n", p->name);
	fish_options(p, NULL, p->options, to);
	for (size_t i = 0; p->verbs && p->verbs[i]; i++)
		fish_verb(p, i, to);
}

int completion_print(const struct man_program *p, const char *shell, FILE *to, struct errbuf *eb)
{
	static const struct {
		const char *shell;
		void (*print)(const struct man_program *p, FILE *to);
	} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
		if (!strcmp(shells[i].shell, shell)) {
			shells[i].print(p, to);
			return 0;
		}
	return err_say(
		eb, ERR_MALFORMED, "no completion for \"%.40s\"; there is one for bash, zsh and fish", shell);
}
