#include "simnet/report/page.h"

#include "simnet/report/graph.h"
#include "simnet/report/runs_in.h"
#include <stdlib.h>
#include <string.h>

/* Of the build: page/page.html, page.css, page.js. */
extern const unsigned char page_html[], page_css[], page_js[];
extern const size_t page_html_len, page_css_len, page_js_len;

/* The skeleton has marks where the parts go. */
enum part { PART_POLICY, PART_STYLE, PART_DATA, PART_SCRIPT, PARTS };
static const char *const part_marks[] = { [PART_POLICY] = "@POLICY@",
	[PART_STYLE] = "@STYLE@",
	[PART_DATA] = "@DATA@",
	[PART_SCRIPT] = "@SCRIPT@" };
_Static_assert(ARRAY_LEN(part_marks) == PARTS, "part_marks misses a part");

struct page {
	FILE *out;
	const struct runs *runs; /* NULL: a live page */
};

/* Inside a script element '<' could end it: in a text of JSON it may be written otherwise (RFC 8259 7). */
static void put_json(FILE *out, const char *json)
{
	for (; *json; json++)
		if (*json == '<')
			fputs("\\u003c", out);
		else
			fputc(*json, out);
}

static void put_records(FILE *out, const struct runs *r)
{
	fputs("<script type=\"application/json\" id=\"records\">[", out);
	for (size_t i = 0; i < r->n; i++) {
		char *text = json_dumps(r->list[i].records, JSON_COMPACT | JSON_REAL_PRECISION(15));
		if (i)
			fputc(',', out);
		put_json(out, text ? text : "[]");
		fputc('\n', out);
		free(text);
	}
	fputs("]</script>", out);
}

static void put_part(const struct page *p, enum part part)
{
	static const char policy[] =
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		"style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">";

	switch (part) {
	case PART_POLICY:
		if (p->runs)
			fputs(policy, p->out);
		break;
	case PART_STYLE:
		if (p->runs)
			fprintf(p->out, "<style>\n%.*s%s</style>", (int)page_css_len, (const char *)page_css,
				graph_style);
		else
			fputs("<link rel=\"stylesheet\" href=\"page.css\">", p->out);
		break;
	case PART_DATA:
		if (p->runs)
			put_records(p->out, p->runs);
		break;
	case PART_SCRIPT:
		if (p->runs)
			fprintf(p->out, "<script>\n%.*s</script>", (int)page_js_len, (const char *)page_js);
		else
			fputs("<script src=\"page.js\"></script>", p->out);
		break;
	case PARTS: break;
	}
}

static void put_page(const struct page *p)
{
	static const char root[] = "<html lang=\"en\"";
	const char *at = (const char *)page_html, *end = at + page_html_len;
	const char *html = p->runs ? NULL : strstr(at, root);

	if (html) {
		fwrite(at, (size_t)(html - at) + sizeof(root) - 1, 1, p->out);
		fputs(" data-live", p->out);
		at = html + sizeof(root) - 1;
	}
	for (int i = 0; i < PARTS; i++) {
		const char *mark = strstr(at, part_marks[i]);
		if (!mark)
			break;
		fwrite(at, (size_t)(mark - at), 1, p->out);
		put_part(p, (enum part)i);
		at = mark + strlen(part_marks[i]);
	}
	fwrite(at, (size_t)(end - at), 1, p->out);
}

int page_write(const struct runs *r, FILE *out, struct errbuf *eb)
{
	struct page p = { .out = out, .runs = r };

	put_page(&p);
	return fflush(out) || ferror(out) ? err_say(eb, ERR_REFUSED, "the page cannot be written") : 0;
}

char *page_part(const char *name, const char **type, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f)
		return NULL;
	*type = "text/html; charset=utf-8";
	if (!*name) {
		struct page p = { .out = f };
		put_page(&p);
	} else if (!strcmp(name, "page.css")) {
		*type = "text/css; charset=utf-8";
		fprintf(f, "%.*s%s", (int)page_css_len, (const char *)page_css, graph_style);
	} else if (!strcmp(name, "page.js")) {
		*type = "text/javascript; charset=utf-8";
		fwrite(page_js, page_js_len, 1, f);
	} else {
		*type = NULL;
	}
	bool failed = fclose(f) != 0;
	if (*type && !failed)
		return text;
	free(text);
	return NULL;
}
