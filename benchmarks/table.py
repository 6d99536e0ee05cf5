"""Markdown tables, each below the bar that its figures have to pass."""


def table(bar: str, columns: list[str], rows: list[str]) -> list[str]:
    """Lines of a section: the bar, the head, the rows as they are."""
    return [bar, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]


def show(sections: dict[str, list[str]]) -> None:
    """Print what ``run.py`` would write."""
    for title, lines in sections.items():
        print(f"\n## {title}\n")
        print("\n".join(lines))
