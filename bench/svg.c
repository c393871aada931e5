/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/svg.h"

#include <math.h>

#include "bench/figure.h"
#include "platform/base/bytes.h"

/* Of curves, in units of the drawing; the page scales it to the width there is. */
enum {
    WIDTH = 420,
    HEIGHT = 230,
    LEFT = 58,
    RIGHT = WIDTH - 8,
    TOP = 14,
    BOTTOM = HEIGHT - 30,
    Y_STEPS = 4,
    SIDE_STEP = 3 /* series stand a bit aside, so that spreads do not cover each other */
};

void svg_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            putc(*text, out);
        }
    }
}

static double percent(double value, double scale)
{
    return fmax(0, fmin(1, value / scale)) * 100;
}

void svg_bar(FILE *out, const struct svg_value *value, double scale, size_t series,
             const char *title)
{
    double min = percent(value->min, scale), max = percent(value->max, scale);

    fprintf(out, "<svg class=\"bar s%zu\" role=\"img\"><title>", series % SVG_SERIES);
    svg_text(out, title);
    fprintf(out, "</title><rect y=\"2\" height=\"12\" width=\"%.2f%%\"/>",
            percent(value->median, scale));
    if (value->min < value->max)
        fprintf(out,
                "<g class=\"whisker\"><line x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"8\" y2=\"8\"/>"
                "<line x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"4\" y2=\"12\"/>"
                "<line x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"4\" y2=\"12\"/></g>",
                min, max, min, min, max, max);
    fputs("</svg>", out);
}

double svg_round_up(double x)
{
    static const double steps[] = {1, 2, 2.5, 5, 10}, smallest = 1e-300;

    if (x < smallest)
        return 1;
    double power = pow(10, floor(log10(x)));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (steps[i] * power >= x)
            return steps[i] * power;
    }
    return 10 * power; /* log10 was rounded down */
}

/* Curves */

static double step_x(const struct svg_curves *c, size_t series, size_t step)
{
    double width = RIGHT - LEFT - 2 * 16;
    double aside = ((double)series - (double)(c->series_n - 1) / 2) * SIDE_STEP;
    return LEFT + 16 + width * (double)step / (double)(c->steps_n - 1) + fmax(-14, fmin(14, aside));
}

static double value_y(double value, double top)
{
    return BOTTOM - (BOTTOM - TOP) * fmax(0, fmin(1, value / top));
}

static double highest(const struct svg_curves *c)
{
    double max = 0;
    for (size_t i = 0; i < c->series_n * c->steps_n; i++)
        max = c->values[i] ? fmax(max, c->values[i]->max) : max;
    return max;
}

static void write_axes(FILE *out, const struct svg_curves *c, double y_step, double top)
{
    char text[FIGURE_TEXT_MAX];

    for (int i = 0; i * y_step <= top * 1.001; i++) {
        double y = value_y(i * y_step, top);
        fprintf(out,
                "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text class=\"end\" x=\"%d\" y=\"%.1f\">%s</text>",
                i == 0 ? "axis" : "grid", LEFT, RIGHT, y, y, LEFT - 6, y + 4,
                figure_format(i * y_step, text, sizeof text));
    }
    for (size_t s = 0; s < c->steps_n; s++) {
        fprintf(out, "<text class=\"middle\" x=\"%.1f\" y=\"%d\">",
                step_x(c, 0, s) - step_x(c, 0, 0) + LEFT + 16, BOTTOM + 18);
        svg_text(out, c->steps[s]);
        fputs("</text>", out);
    }
}

static void write_series(FILE *out, const struct svg_curves *c, size_t series, double top)
{
    const struct svg_value *const *values = &c->values[series * c->steps_n];
    const char *command = "M";

    fprintf(out, "<g class=\"s%zu\"><path d=\"", series % SVG_SERIES);
    for (size_t s = 0; s < c->steps_n; s++) {
        if (!values[s])
            continue;
        fprintf(out, "%s%.1f %.1f", command, step_x(c, series, s), value_y(values[s]->median, top));
        command = " L";
    }
    fputs("\"/>", out);
    for (size_t s = 0; s < c->steps_n; s++) {
        if (!values[s])
            continue;
        double x = step_x(c, series, s);
        if (values[s]->min < values[s]->max)
            fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x,
                    value_y(values[s]->min, top), value_y(values[s]->max, top));
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", x,
                value_y(values[s]->median, top));
    }
    fputs("</g>", out);
}

void svg_curves(FILE *out, const struct svg_curves *c)
{
    double y_step = svg_round_up(highest(c) / Y_STEPS);
    double top = y_step * fmax(1, ceil(highest(c) / y_step));

    fprintf(out, "<svg class=\"curves\" viewBox=\"0 0 %d %d\" aria-hidden=\"true\">", WIDTH,
            HEIGHT);
    write_axes(out, c, y_step, top);
    for (size_t s = 0; s < c->series_n; s++)
        write_series(out, c, s, top);
    fputs("</svg>", out);
}
