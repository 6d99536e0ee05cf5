"""Markdown tables, each below the bar that its figures have to pass."""

import statistics


def table(bar: str, columns: list[str], rows: list[str]) -> list[str]:
    """Lines of a section: the bar, the head, the rows as they are."""
    return [bar, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]


def spread(values: list[float], form: str = "{:.1%}") -> str:
    """The mean and, of several, the least and the most."""
    mean = form.format(statistics.mean(values))
    ends = f" ({form.format(min(values))} to {form.format(max(values))})"
    return mean + ends if len(values) > 1 else mean


def show(sections: dict[str, list[str]]) -> None:
    """Print what ``run.py`` would write."""
    for title, lines in sections.items():
        print(f"\n## {title}\n")
        print("\n".join(lines))
