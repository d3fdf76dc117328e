#include "simnet/command.h"

#include "simnet/scenario/nat_model.h"
#include "simnet/scenario/schema.h"
#include <stdio.h>
#include <string.h>

/* `simnet schema` and `simnet presets`: the format of files, as their readers know it. */

int format_schema(struct command *c)
{
	bool adapter = c->n_words == 1 && !strcmp(c->words[0], "adapter");
	const struct schema_table *top = adapter ? &adapter_table : &scenario_table;
	struct buf out = { .cap = 1 << 20 };

	if (c->n_words > 1 || (c->n_words == 1 && !adapter && strcmp(c->words[0], "scenario") != 0))
		return command_error("schema takes 'scenario' (the default) or 'adapter'");
	bool ok = c->opt.markdown
			  ? schema_write_page(top, 3, &out)
			  : schema_write_json(top, adapter ? "simnet adapter" : "simnet scenario", &out);
	if (ok)
		fwrite(buf_data(&out), 1, out.len, stdout);
	buf_free(&out);
	return ok ? EXIT_PASS : EXIT_BROKEN;
}

int format_presets(struct command *c)
{
	char model[NAT_MODEL_TEXT];

	if (c->n_words)
		return command_error("presets takes no words");
	if (c->opt.markdown)
		printf("| word | what it is | source |\n|---|---|---|\n");
	for (size_t i = 0; i < nat_n_presets; i++) {
		const struct nat_preset *p = &nat_presets[i];
		const char *text = p->translates ? nat_model_format(&p->model, model) : "routes only";
		printf(c->opt.markdown ? "| `%s` | %s | %s |\n" : "%s\n    %s\n    %s\n", p->word, text,
			p->source);
	}
	return EXIT_PASS;
}
