"""Write the table of settings in docs/operating.md: `python -m scripts.make_settings_table`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

from latentcrdt_server.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "operating.md"

BEGIN = "<!-- settings: python -m scripts.make_settings_table -->\n"

END = "<!-- end of settings -->\n"


def table() -> str:
    """Return one row a field: its variable, its default as it is written, its docstring."""
    (cls,) = ast.parse(textwrap.dedent(inspect.getsource(Settings))).body
    assert isinstance(cls, ast.ClassDef)
    rows = ["| variable | default | |", "|---|---|---|"]
    for field, doc in zip(cls.body, cls.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(doc, ast.Expr)
            assert isinstance(doc.value, ast.Constant)
            text = " ".join(str(doc.value.value).split()).replace("``", "`")
            name = f"LATENTCRDT_{field.target.id.upper()}"
            rows.append(f"| `{name}` | {_default(field.target.id)} | {text} |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "the user's data directory"
    value = field.default
    if value is None or value == ():
        return "none"
    if isinstance(value, int) and value >= 2**20 and value % 2**30 == 0:
        return f"`{value}` ({value // 2**30} GiB)"
    return f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
