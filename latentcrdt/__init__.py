"""latentcrdt: a replicated store of transformer latent state.

Agents push content-addressed KV-cache fragments; every replica converges to the same grow-only set;
any replica, or the client itself, renders the set to the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.core.state import LatentState

if TYPE_CHECKING:
    from latentcrdt.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "Fragment", "LatentState", "Render", "RenderQuery"]


def __getattr__(name: str) -> Any:
    """Load the clients when they are first asked for: they bring an HTTP library with them."""
    if name in ("AsyncClient", "Client"):
        from latentcrdt import client  # noqa: PLC0415 - the point of this function

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
