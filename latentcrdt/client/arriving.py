"""A render that still arrives: each layer can be had as soon as it is whole and verified.

A thread of its own receives and digests; whoever asks for a layer waits for that layer alone. What
went wrong meanwhile is raised there, so that no one computes with bytes that were not checked.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Self

from latentcrdt.client.answers import Answer
from latentcrdt.client.meter import Meter
from latentcrdt.client.plan_checks import check_canonical, check_plan
from latentcrdt.client.receivers import RenderReceiver
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.plan import RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.rendered import Render
from latentcrdt.errors import InvalidRequestError, UnexpectedAnswerError


class ArrivingRender:
    """A `latentcrdt.core.rendered.LayeredRender`. May be used from any thread.

    Leaving the block gives up what has not come. What has come stays readable.
    """

    def __init__(self, query: RenderQuery, *, max_bytes: int, verify: bool) -> None:
        """Expect the answer to ``query``; `receive` begins to take it in."""
        self._query = query
        self._max_bytes = max_bytes
        self._verify = verify
        self._changed = threading.Condition()
        self._plan: RenderPlan | None = None
        self._stops: list[int] = []
        """Where in the body each layer ends, and before them where the first begins."""
        self._digester: RunDigester | None = None
        self._receipt: Receipt | None = None
        self._body = memoryview(b"")
        self._num_bytes = 0
        """Of the body, received and digested."""
        self._error: BaseException | None = None
        self._is_closed = False

    def receive(self, download: Callable[[], object]) -> None:
        """Run ``download`` in a thread; it makes its receivers by `receiver`."""

        def run() -> None:
            try:
                download()
            except BaseException as error:  # noqa: BLE001 - raised to whoever waits for a layer
                with self._changed:
                    self._error = error
                    self._changed.notify_all()

        threading.Thread(target=run, name="latentcrdt-render", daemon=True).start()

    def receiver(self, head: Answer) -> RenderReceiver:
        """Return what takes in an answer from its first byte on."""
        return _WatchedReceiver(self, head, self._max_bytes)

    def believe(self, receipt: Receipt) -> None:
        """Hold every layer to a receipt of this plan, before anyone gets it."""
        check_canonical(receipt, self._query)
        self._receipt = receipt

    @property
    def plan(self) -> RenderPlan:
        """The plan; waits until it has come, and raises what came instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._plan is not None or self._is_over)
            if self._plan is None:
                raise self._reason("the plan")
            return self._plan

    def keys(self, layer: int) -> memoryview:
        """Return the bytes of a layer's K ``[H, T, D]``; waits until the layer is whole."""
        return self._layer(layer).keys(layer)

    def values(self, layer: int) -> memoryview:
        """Return the bytes of a layer's V ``[H, T, D_v]``; waits until the layer is whole."""
        return self._layer(layer).values(layer)

    def whole(self) -> Render:
        """Return the whole render; waits for its last layer."""
        carried = self.plan.layers
        return [self._layer(i) for i in range(carried.first, carried.stop)][-1]

    def close(self) -> None:
        """Give up what has not come; the thread ends with the next bytes that it gets."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def begin(self, plan: RenderPlan) -> RunDigester | None:
        """Take the plan of an answer that starts; a second one must be the same."""
        check_plan(plan, self._query)
        with self._changed:
            if self._plan not in (None, plan):
                raise UnexpectedAnswerError(
                    f"expected the rest of render {self._plan.etag} after a broken connection, "
                    f"got render {plan.etag}"
                )
            sizes = (
                plan.keys_bytes(i) + plan.values_bytes(i)
                for i in range(plan.layers.first, plan.layers.stop)
            )
            self._plan, self._stops = plan, list(itertools.accumulate(sizes, initial=0))
            self._digester = RunDigester(plan) if self._verify else None
            self._num_bytes = 0
            self._changed.notify_all()
            return self._digester

    def advance(self, body: memoryview, num_bytes: int) -> None:
        """Note how much of the body has come, and where it lies."""
        with self._changed:
            if self._is_closed:
                raise CancelledError
            self._body, self._num_bytes = body, num_bytes
            self._changed.notify_all()

    @property
    def _is_over(self) -> bool:
        return self._error is not None or self._is_closed

    def _layer(self, layer: int) -> Render:
        """Return the render as far as it has come, which is at least to the end of this layer."""
        plan = self.plan
        render = Render(plan, memoryview(b""))
        render.keys(layer)  # raises for a layer that the render does not carry
        stop = self._stops[layer + 1 - plan.layers.first]
        with self._changed:
            self._changed.wait_for(lambda: self._num_bytes >= stop or self._is_over)
            if self._num_bytes < stop:
                raise self._reason(f"layer {layer}")
            body, digester = self._body, self._digester
        if self._verify:
            assert digester is not None
            assert self._receipt is not None
            self._receipt.check_layer(layer, digester.digests)
        return Render(plan, body.toreadonly())

    def _reason(self, what: str) -> BaseException:
        if self._error is None:
            return InvalidRequestError(f"the render was closed before {what} had come")
        # A copy each: threads would add their tracebacks to one object.
        error = copy.copy(self._error)
        error.__cause__ = self._error
        return error


class _WatchedReceiver(RenderReceiver):
    """Tells an `ArrivingRender` of every piece."""

    def __init__(self, render: ArrivingRender, head: Answer, max_bytes: int) -> None:
        super().__init__(head, max_bytes=max_bytes, meter=Meter(None), begin=render.begin)
        self._render = render

    def feed(self, data: Buffer) -> None:
        """Take the next bytes."""
        super().feed(data)
        self._render.advance(self._body, self._stop)
