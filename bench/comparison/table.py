"""Figures as tables: Markdown whose columns line up, so that it reads as text too."""

from statistics import median

from .names import FLOOR, KAFKA, ODRADEK, TITLES


def number(value):
    """Three significant digits, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def spread(values):
    if not values:
        return "-"
    if len(values) == 1:
        return number(values[0])
    return f"{number(min(values))} / **{number(median(values))}** / {number(max(values))}"


def ratio(values, others):
    if not values or not others or median(others) == 0:
        return "-"
    return f"{number(median(values) / median(others))} ×"


def values_of(results, kind, metric):
    return [run[metric.key] for run in results.get(kind, []) if metric.key in run]


def rows_of(workload, results):
    for metric in workload.metrics:
        by_kind = {kind: values_of(results, kind, metric) for kind in (ODRADEK, KAFKA, FLOOR)}
        yield [
            metric.title + (" ↑" if metric.higher else " ↓"),
            *(spread(by_kind[kind]) for kind in (ODRADEK, KAFKA, FLOOR)),
            ratio(by_kind[ODRADEK], by_kind[KAFKA]),
            ratio(by_kind[ODRADEK], by_kind[FLOOR]),
        ]


def aligned(header, rows):
    columns = list(zip(header, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in [header, *rows]]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def section(workload, results, failures):
    """One workload's table. results: kind -> runs; failures: kind -> reasons."""
    header = ["", TITLES[ODRADEK], TITLES[KAFKA], TITLES[FLOOR], "Odradek / Kafka", "Odradek / floor"]
    text = f"### {workload.name}: {workload.title}\n\n" + aligned(header, list(rows_of(workload, results))) + "\n"
    for kind, reasons in failures.items():
        for reason in reasons:
            text += f"\n{TITLES[kind]} failed: {reason}\n"
    return text
