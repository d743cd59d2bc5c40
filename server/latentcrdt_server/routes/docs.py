"""A page for people who open the server in a browser: its calls, from what /openapi.json says."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; }}
table {{ border-collapse: collapse; }}
td, th {{ border-top: 1px solid #8888; padding: .4rem .8rem; text-align: left; }}
td {{ vertical-align: top; }}
</style>
<h1>{title}</h1>
<p>{description} The whole description: <a href="openapi.json">openapi.json</a>.</p>
<table>
<tr><th>Call<th>Parameters<th>What it does<th>Answers
{rows}
</table>
</html>
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded from anywhere, and no script runs."""


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Show a table of all calls; it asks no other host for anything."""
    document = request.app.openapi()
    page = _PAGE.format(
        title=escape(f"{request.app.title} {request.app.version}"),
        description=escape(request.app.description),
        rows="\n".join(_rows(document)),
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _rows(document: dict[str, Any]) -> Iterator[str]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = ", ".join(p["name"] for p in operation.get("parameters", ()))
            cells = (
                f"<code>{method.upper()} {escape(path)}</code>",
                escape(parameters),
                escape(operation["description"]),
                escape(" ".join(sorted(operation["responses"]))),
            )
            yield "<tr><td>" + "<td>".join(cells)
