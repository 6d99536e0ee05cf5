"""A page of drawings, one below the other, that holds all it needs."""

from collections.abc import Iterable, Mapping

from tinygrad_rnn.inspect.frame import escape

__all__ = ["gallery"]


def gallery(
    sections: Iterable[str], title: str, note: str, figures: Mapping[str, str] | None = None
) -> str:
    """HTML of sections that are HTML or SVG, then of figures with their names."""
    parts = [f"<section>{section}</section>" for section in sections]
    parts += [
        f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>"
        for name, svg in (figures or {}).items()
    ]
    return _PAGE.format(title=escape(title), note=escape(note), parts="\n".join(parts))


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #1d2228; background: #fff }}
figure, section {{ margin: 2rem 0; overflow-x: auto }}
svg {{ max-width: 100%; height: auto }} figcaption {{ font-weight: 600 }}
section {{ display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: center;
  border-top: 1px solid #9aa3ab66; padding-top: 1rem }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e8eaed; background: #12151a }} }}
</style></head><body>
<h1>{title}</h1>
<p>{note}</p>
{parts}
</body></html>
"""
