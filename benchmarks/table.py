"""Markdown tables, each below the bar that its figures have to pass."""


def table(bar: str, columns: list[str], rows: list[str]) -> list[str]:
    """Lines of a section: the bar, the head, the rows as they are."""
    return [bar, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]
