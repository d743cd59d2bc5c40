"""Examples that hypothesis draws, tries on a server, and makes small where one fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import LatentCRDTError
from latentcrdt.testing.strategies import fragments, geometries

T = TypeVar("T")

MAX_SEQ_LEN = 4
"""Tokens of a drawn fragment: what goes wrong does so with few, and each is sent often."""

MAX_SHRINKS = 60
"""Examples tried after one has failed: each is several requests, and small ones come first."""

_bounded = settings(
    database=None,
    deadline=None,
    derandomize=True,  # a server that passes once must not fail the next time by chance
    phases=(Phase.generate, Phase.shrink),
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def for_all(
    examples: st.SearchStrategy[T], test: Callable[[T], None], *, max_examples: int
) -> None:
    """Try drawn examples; AssertionError says why the smallest found fails, and notes it."""
    failures: list[tuple[T, Exception]] = []
    num_shrinks = 0

    def once(example: T) -> None:
        nonlocal num_shrinks
        num_shrinks += bool(failures)
        if num_shrinks > MAX_SHRINKS:
            # Only what is known to fail does, so hypothesis ends with the smallest of these.
            for known, failure in failures:
                if known == example:
                    raise failure
            return
        try:
            test(example)
        except (AssertionError, LatentCRDTError) as error:
            failures.append((example, error))
            raise

    try:
        settings(_bounded, max_examples=max_examples)(given(examples)(once))()
    except FlakyFailure:
        example, failure = failures[-1]
        _fail(failure, f"{example} (not every time)")
    except (AssertionError, LatentCRDTError) as error:
        _fail(error, str(next(example for example, failure in failures if failure is error)))


def _fail(failure: Exception, counterexample: str) -> None:
    error = AssertionError(str(failure))
    error.add_note(f"counterexample: {counterexample}")
    raise error from failure


@st.composite
def fragment_sets(
    draw: st.DrawFn,
    model_id: str,
    *,
    dtypes: Sequence[Dtype] = tuple(Dtype),
    min_size: int = 1,
    max_size: int = 4,
) -> tuple[Fragment, ...]:
    """Draw distinct fragments of one class, of this model."""
    geometry = replace(draw(geometries(dtypes=dtypes, max_layers=2)), model_id=model_id)
    drawn = st.lists(
        fragments(geometry=geometry, max_seq_len=MAX_SEQ_LEN),
        min_size=min_size,
        max_size=max_size,
        unique_by=lambda fragment: fragment.fragment_id,
    )
    return tuple(draw(drawn))


def listed(fragments: Sequence[Fragment]) -> str:
    """Return what tells a few fragments of one class apart, for a message."""
    geometry = fragments[0].header.geometry
    layers = ", ".join(
        f"{spec.kind} {spec.num_kv_heads}x{spec.key_dim}{'' if spec.rope is None else ' rope'}"
        for spec in geometry.layers
    )
    each = ", ".join(
        f"{f.fragment_id.hex()[:8]} ({f.header.seq_len} tokens from {f.header.start})"
        for f in fragments
    )
    return f"{geometry.dtype} [{layers}]: {each}"
