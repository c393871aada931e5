/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure.h"
#include "bench/svg.h"
#include "platform/base/mem.h"

enum {
    TITLE_MAX = 1024
};

static const char page_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" "
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<title>fzbench report</title>\n"
    "<style>\n"
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--muted:#5d6670;--line:#dde2e7;"
    "--card:#f7f9fb;--better:#18713a;--worse:#b3261e;"
    "--c0:#1f6fb8;--c1:#d4670f;--c2:#23875f;--c3:#a8479b;--c4:#b08900;--c5:#37a3c4;--c6:#c23b4b;"
    "--c7:#6b7280}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#131619;--fg:#e4e8ec;--muted:#98a2ad;"
    "--line:#2d343b;--card:#1a1e22;--better:#5fc98a;--worse:#ff8a80;"
    "--c0:#5ba7ea;--c1:#f2994a;--c2:#53c08f;--c3:#d68acb;--c4:#e0bd4a;--c5:#70cfe8;--c6:#f27d88;"
    "--c7:#9aa3af}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--bg);color:var(--fg);"
    "font:15px/1.45 system-ui,sans-serif;font-variant-numeric:tabular-nums}\n"
    "h1{font-size:1.5rem;margin:.5rem 0}\n"
    "h2{font-size:1.25rem;margin:2rem 0 .5rem}\n"
    "h3{font-size:1rem;margin:0 0 .5rem;overflow-wrap:anywhere}\n"
    "p{margin:.3rem 0}\n"
    ".muted,.unit,.spread,.run{color:var(--muted)}\n"
    ".unit,.spread,.run{font-size:.85em}\n"
    ".better{color:var(--better)}\n"
    ".worse{color:var(--worse)}\n"
    ".wide{overflow-x:auto}\n"
    "table{border-collapse:collapse;font-size:.9em}\n"
    "th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);"
    "white-space:nowrap}\n"
    "th{color:var(--muted);font-weight:normal}\n"
    ".swatch{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px;"
    "background:var(--c)}\n"
    ".group{background:var(--card);border:1px solid var(--line);border-radius:8px;"
    "padding:.8rem 1rem;min-width:0}\n"
    ".unit{margin:.5rem 0 .2rem}\n"
    ".row{display:grid;grid-template-columns:minmax(7rem,14rem) 1fr;gap:.1rem 1rem;"
    "align-items:center;padding:.25rem 0}\n"
    ".row>div{min-width:0;overflow-wrap:anywhere}\n"
    ".one{display:grid;grid-template-columns:1.2em minmax(3rem,1fr) 22rem;gap:.6rem;"
    "align-items:center}\n"
    ".alone .one{grid-template-columns:minmax(3rem,1fr) 14rem}\n"
    ".value{display:grid;grid-template-columns:minmax(4.5rem,auto) 9rem 1fr;align-items:baseline}\n"
    ".value>*{overflow-wrap:anywhere}\n"
    ".bar{display:block;width:100%;height:16px;overflow:visible}\n"
    ".bar rect{fill:var(--c)}\n"
    ".whisker line{stroke:var(--fg);stroke-width:1.3}\n"
    ".groups{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));"
    "gap:.8rem;margin:.8rem 0}\n"
    ".group{grid-column:1/-1}\n"
    ".narrow{grid-column:auto;order:1}\n"
    ".curves{display:block;width:100%;max-width:27rem;height:auto}\n"
    ".curves text{font-size:12px;fill:var(--muted)}\n"
    ".curves .end{text-anchor:end}\n"
    ".curves .middle{text-anchor:middle}\n"
    ".curves .axis{stroke:var(--muted)}\n"
    ".curves .grid{stroke:var(--line)}\n"
    ".curves path{fill:none;stroke:var(--c);stroke-width:2}\n"
    ".curves g line{stroke:var(--c);stroke-width:1.3}\n"
    ".curves circle{fill:var(--c)}\n"
    ".s1 path{stroke-dasharray:7 3}.s2 path{stroke-dasharray:2 3}.s3 path{stroke-dasharray:9 3 2 3}"
    ".s5 path{stroke-dasharray:7 3}.s6 path{stroke-dasharray:2 3}.s7 path{stroke-dasharray:9 3 2 3}\n"
    ".s0{--c:var(--c0)}.s1{--c:var(--c1)}.s2{--c:var(--c2)}.s3{--c:var(--c3)}"
    ".s4{--c:var(--c4)}.s5{--c:var(--c5)}.s6{--c:var(--c6)}.s7{--c:var(--c7)}\n"
    "@media(max-width:54rem){.row,.alone .one{grid-template-columns:1fr}"
    ".one{grid-template-columns:1.2em 1fr;gap:0 .6rem}"
    ".value{grid-column:-2/-1;display:flex;flex-wrap:wrap;gap:0 .7rem;padding-bottom:.3rem}}\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<h1>fzbench report</h1>\n"
    "<p class=\"muted\">Bars and points are medians, whiskers reach from the smallest to the "
    "largest sample. Changes are against the first run that has the row; a change counts as "
    "better or worse when the samples of the two runs do not overlap.</p>\n";

/* A row of the page. Rows of one group are neighbours, and in it those of one block, which is drawn on one scale. */
struct page_row {
    const struct result_row *row; /* in the first run that has it */
    size_t index;                 /* in the order of the runs' rows */
    size_t group, block;          /* the index of the first row in them */
    double percentile;            /* what the name ends in, or 0 */
};

/* The runs of one command, and each name and unit in them once. */
struct section {
    FILE *out;
    const struct report_run **runs;
    size_t runs_n;
    struct page_row *rows;
    size_t rows_n;
};

static size_t prefix_len(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}

static const char *leaf(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* The row of a run that compares with `row`; NULL: there is none. */
static const struct result_row *row_of(const struct report_run *run, const struct result_row *row)
{
    const struct result_row *own = result_find(&run->result, row->name);
    return own && strcmp(own->unit, row->unit) == 0 ? own : NULL;
}

static struct svg_value value_of(const struct result_row *row)
{
    return (struct svg_value){result_min(row), result_median(row), result_max(row)};
}

/* The table of runs */

static void write_cell(FILE *out, const char *text)
{
    fputs("<td>", out);
    svg_text(out, text);
    fputs("</td>", out);
}

static void write_run_cell(FILE *out, size_t run)
{
    fprintf(out, "<tr><td><i class=\"swatch s%zu\"></i>%zu</td>", run % SVG_SERIES, run + 1);
}

static void write_runs(const struct section *s)
{
    fputs("<div class=\"wide\"><table>\n"
          "<tr><th>run</th><th>version</th><th>date</th><th>machine</th><th>file</th></tr>\n",
          s->out);
    for (size_t i = 0; i < s->runs_n; i++) {
        const struct result *r = &s->runs[i]->result;
        write_run_cell(s->out, i);
        write_cell(s->out, r->version);
        write_cell(s->out, r->date);
        write_cell(s->out, r->machine);
        write_cell(s->out, s->runs[i]->path);
        fputs("</tr>\n", s->out);
    }
    fputs("</table></div>\n", s->out);
}

/* Bars */

static void write_change(FILE *out, const struct result_row *from, const struct result_row *to)
{
    double a = result_median(from), b = result_median(to);
    char text[FIGURE_TEXT_MAX];

    figure_format_change(a, b, text, sizeof text);
    if (result_overlap(from, to) || to->better == RESULT_NEITHER) {
        fprintf(out, "<span class=\"muted\">%s</span>", text);
        return;
    }
    const char *verdict = (to->better == RESULT_LOWER) == (b < a) ? "better" : "worse";
    fprintf(out, "<span class=\"%s\">%s %s</span>", verdict, text, verdict);
}

/* first: the row of the first run that has it; NULL: this is it. */
static void write_bar(const struct section *s, size_t run, const struct result_row *row,
                      const struct result_row *first, double scale)
{
    char median[FIGURE_TEXT_MAX], min[FIGURE_TEXT_MAX], max[FIGURE_TEXT_MAX], title[TITLE_MAX];
    struct svg_value value = value_of(row);

    figure_format(value.median, median, sizeof median);
    figure_format(value.min, min, sizeof min);
    figure_format(value.max, max, sizeof max);
    snprintf(title, sizeof title, "%s: %s %s, %s to %s in %zu samples", row->name, median,
             row->unit, min, max, row->n);
    fputs("<div class=\"one\">", s->out);
    if (s->runs_n > 1)
        fprintf(s->out, "<span class=\"run\">%zu</span>", run + 1);
    svg_bar(s->out, &value, scale, run, title);
    fprintf(s->out, "<span class=\"value\"><span>%s</span> <span class=\"spread\">", median);
    if (value.min < value.max)
        fprintf(s->out, "%s to %s", min, max);
    fputs("</span> ", s->out);
    if (first)
        write_change(s->out, first, row);
    fputs("</span></div>", s->out);
}

static void write_row(const struct section *s, const struct result_row *row, double scale)
{
    const struct result_row *first = NULL;

    fputs("<div class=\"row\"><div>", s->out);
    svg_text(s->out, leaf(row->name));
    fprintf(s->out, "%s</div><div>",
            row->gate == GATE_ZERO ? " <span class=\"unit\">must be 0</span>" : "");
    for (size_t i = 0; i < s->runs_n; i++) {
        const struct result_row *own = row_of(s->runs[i], row);
        if (!own)
            continue;
        write_bar(s, i, own, first, scale);
        first = first ? first : own;
    }
    fputs("</div></div>\n", s->out);
}

static void write_unit(FILE *out, const struct result_row *row)
{
    static const char *const directions[] = {
        [RESULT_LOWER] = "lower is better",
        [RESULT_HIGHER] = "higher is better",
        [RESULT_NEITHER] = "",
    };
    const char *direction = directions[row->better];

    fputs("<p class=\"unit\">", out);
    svg_text(out, row->unit);
    fprintf(out, "%s%s</p>\n", row->unit[0] && direction[0] ? ", " : "", direction);
}

/* n rows of one block, here and below. */
static void write_bars(const struct section *s, const struct page_row *rows, size_t n)
{
    double scale = 0;

    for (size_t i = 0; i < n * s->runs_n; i++) {
        const struct result_row *own = row_of(s->runs[i % s->runs_n], rows[i / s->runs_n].row);
        if (own)
            scale = fmax(scale, result_max(own));
    }
    for (size_t i = 0; i < n; i++)
        write_row(s, rows[i].row, scale > 0 ? scale : 1);
}

/* Curves */

static void write_values(const struct section *s, const struct svg_curves *c)
{
    fputs("<div class=\"wide\"><table>\n<tr><th>run</th>", s->out);
    for (size_t i = 0; i < c->steps_n; i++) {
        fputs("<th>", s->out);
        svg_text(s->out, c->steps[i]);
        fputs("</th>", s->out);
    }
    fputs("</tr>\n", s->out);
    for (size_t k = 0; k < c->series_n; k++) {
        write_run_cell(s->out, k);
        for (size_t i = 0; i < c->steps_n; i++) {
            const struct svg_value *value = c->values[k * c->steps_n + i];
            char text[FIGURE_TEXT_MAX] = "";
            write_cell(s->out, value ? figure_format(value->median, text, sizeof text) : text);
        }
        fputs("</tr>\n", s->out);
    }
    fputs("</table></div>\n", s->out);
}

static void write_curves(const struct section *s, const struct page_row *rows, size_t n)
{
    struct svg_value *values = mem_zalloc(s->runs_n * n, sizeof *values);
    const struct svg_value **known = mem_zalloc(s->runs_n * n, sizeof *known);
    const char **steps = mem_zalloc(n, sizeof *steps);

    for (size_t i = 0; i < n; i++)
        steps[i] = leaf(rows[i].row->name);
    for (size_t k = 0; k < s->runs_n * n; k++) {
        const struct result_row *own = row_of(s->runs[k / n], rows[k % n].row);
        if (!own)
            continue;
        values[k] = value_of(own);
        known[k] = &values[k];
    }
    struct svg_curves curves = {
        .steps = steps, .steps_n = n, .series_n = s->runs_n, .values = known};
    svg_curves(s->out, &curves);
    write_values(s, &curves);
    free(steps);
    free(known);
    free(values);
}

/* Groups and sections */

static bool is_curve(const struct page_row *block, size_t n)
{
    return block->percentile > 0 && n > 1;
}

static size_t block_len(const struct section *s, size_t at)
{
    size_t n = 1;
    while (at + n < s->rows_n && s->rows[at + n].block == s->rows[at].block)
        n++;
    return n;
}

/* Returns where the next group is. */
static size_t write_group(const struct section *s, size_t at)
{
    const struct page_row *first = &s->rows[at];
    char *prefix = mem_dup_text(first->row->name, prefix_len(first->row->name));
    size_t next = at + block_len(s, at);
    bool only = next == s->rows_n || s->rows[next].group != first->group;
    bool narrow = only && is_curve(first, next - at);

    fprintf(s->out, "<div class=\"group%s\"><h3>", narrow ? " narrow" : "");
    svg_text(s->out, prefix[0] ? prefix : s->runs[0]->result.command);
    fputs("</h3>\n", s->out);
    free(prefix);
    while (at < s->rows_n && s->rows[at].group == first->group) {
        const struct page_row *block = &s->rows[at];
        size_t n = block_len(s, at);
        write_unit(s->out, block->row);
        if (is_curve(block, n))
            write_curves(s, block, n);
        else
            write_bars(s, block, n);
        at += n;
    }
    fputs("</div>\n", s->out);
    return at;
}

/* The percentile that a row's name ends in ("p50", "p99.9"), or 0. */
static double percentile(const char *name)
{
    const char *text = leaf(name);
    char *end;

    if (text[0] != 'p' || !strchr("123456789", text[1]) || strspn(text + 1, "0123456789.") > 8)
        return 0;
    double value = strtod(text + 1, &end);
    return *end == '\0' && value <= 100 ? value : 0;
}

static bool same_group(const struct page_row *a, const struct page_row *b)
{
    size_t len = prefix_len(a->row->name);
    return len == prefix_len(b->row->name) && memcmp(a->row->name, b->row->name, len) == 0;
}

static bool same_block(const struct page_row *a, const struct page_row *b)
{
    return same_group(a, b) && strcmp(a->row->unit, b->row->unit) == 0 &&
           a->row->better == b->row->better && (a->percentile > 0) == (b->percentile > 0);
}

static int compare_rows(const void *x, const void *y)
{
    const struct page_row *a = x, *b = y;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->block != b->block)
        return a->block < b->block ? -1 : 1;
    if (a->percentile != b->percentile)
        return a->percentile < b->percentile ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static bool section_has(const struct section *s, const struct result_row *row)
{
    for (size_t i = 0; i < s->rows_n; i++) {
        if (strcmp(s->rows[i].row->name, row->name) == 0 &&
            strcmp(s->rows[i].row->unit, row->unit) == 0)
            return true;
    }
    return false;
}

static void section_add(struct section *s, const struct result_row *row)
{
    if (section_has(s, row))
        return;
    s->rows = mem_grow(s->rows, s->rows_n, sizeof *s->rows);
    struct page_row *own = &s->rows[s->rows_n];
    size_t group = 0, block = 0;
    *own = (struct page_row){.row = row, .index = s->rows_n, .percentile = percentile(row->name)};
    while (!same_group(&s->rows[group], own))
        group++;
    while (!same_block(&s->rows[block], own))
        block++;
    own->group = group;
    own->block = block;
    s->rows_n++;
}

static void write_section(const struct section *s)
{
    fputs("<section>\n<h2>", s->out);
    svg_text(s->out, s->runs[0]->result.command);
    fputs("</h2>\n", s->out);
    write_runs(s);
    fprintf(s->out, "<div class=\"groups%s\">\n", s->runs_n == 1 ? " alone" : "");
    for (size_t at = 0; at < s->rows_n;)
        at = write_group(s, at);
    fputs("</div>\n</section>\n", s->out);
}

/* Collects all runs of the same command as runs[at], unless an earlier one has done so. */
static void report_command(FILE *out, const struct report_run *runs, size_t n, size_t at)
{
    const char *command = runs[at].result.command;
    struct section s = {.out = out,
                        .runs = mem_zalloc(n, sizeof *s.runs),
                        .rows = mem_grow(NULL, 0, sizeof *s.rows)};

    for (size_t i = 0; i < n; i++) {
        if (strcmp(runs[i].result.command, command) == 0)
            s.runs[s.runs_n++] = &runs[i];
    }
    if (s.runs[0] == &runs[at]) {
        for (size_t i = 0; i < s.runs_n; i++) {
            for (size_t k = 0; k < s.runs[i]->result.n; k++)
                section_add(&s, &s.runs[i]->result.rows[k]);
        }
        qsort(s.rows, s.rows_n, sizeof *s.rows, compare_rows);
        write_section(&s);
    }
    free(s.rows);
    free(s.runs);
}

void report_page_write(FILE *out, const struct report_run *runs, size_t n)
{
    fputs(page_head, out);
    for (size_t i = 0; i < n; i++)
        report_command(out, runs, n, i);
    fputs("</body>\n</html>\n", out);
}
