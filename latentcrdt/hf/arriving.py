"""Cache layers whose rows are still on their way: whoever first looks at them waits.

How many rows there will be is known before they come, so masks and positions wait for nothing. A
model's forward pass asks for layer after layer: while it computes on one, the next ones arrive.
Once its rows have come, such a layer is as any other of its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

Take = Callable[[], tuple[torch.Tensor, torch.Tensor]]
"""Waits for a layer's rows; returns its keys and values ``[1, H, T, D]``, or raises."""


class _Arriving(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values that are taken when they are first read; what that raises, it raises again.

    transformers reads and sets the two attributes, in these classes and from outside.
    """

    _take: Take | None = None
    _rows: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)
    _num_rows = 0

    def expect(self, num_rows: int, like: torch.Tensor, take: Take) -> None:
        """Begin to wait for ``num_rows`` rows, of dtype and device of ``like``."""
        self.lazy_initialization(like, like)
        self._num_rows, self._take = num_rows, take

    @property
    def keys(self) -> Any:
        """The keys ``[B, H, T, D]``, all of them; None before there are any."""
        self._settle()
        return self._rows[0]

    @keys.setter
    def keys(self, keys: torch.Tensor | None) -> None:
        self._settle()
        self._rows = (keys, self._rows[1])

    @property
    def values(self) -> Any:
        """The values ``[B, H, T, D_v]``, all of them; None before there are any."""
        self._settle()
        return self._rows[1]

    @values.setter
    def values(self, values: torch.Tensor | None) -> None:
        self._settle()
        self._rows = (self._rows[0], values)

    def reset(self) -> None:
        """Forget all rows, those on their way too."""
        self._take = None
        super().reset()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: rows, not a promise of some."""
        self._settle()
        return self.__dict__

    def _settle(self) -> None:
        if self._take is not None:
            self._rows = self._take()
            self._take = None


class ArrivingLayer(_Arriving):  # type: ignore[no-untyped-call]
    """A `DynamicLayer` that may still arrive."""

    def get_seq_length(self) -> int:
        """Return how many tokens it holds, or will."""
        return self._num_rows if self._take is not None else super().get_seq_length()


class ArrivingSlidingLayer(  # type: ignore[no-untyped-call]
    _Arriving, DynamicSlidingWindowLayer
):
    """A `DynamicSlidingWindowLayer` that may still arrive; it counts its tokens itself."""


def arriving_layer(
    kind: DynamicLayer, num_rows: int, like: torch.Tensor, take: Take
) -> ArrivingLayer | ArrivingSlidingLayer:
    """Return a layer of the same kind that waits for its rows; see `_Arriving.expect`."""
    layer: ArrivingLayer | ArrivingSlidingLayer = ArrivingLayer()  # type: ignore[no-untyped-call]
    if isinstance(kind, DynamicSlidingWindowLayer):
        layer = ArrivingSlidingLayer(kind.sliding_window)
    layer.expect(num_rows, like, take)
    return layer
