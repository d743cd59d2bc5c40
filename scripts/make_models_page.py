"""Write docs/models.md from the tiny models of the tests: python -m scripts.make_models_page.

`tests/hf/test_models_page.py` sees to it that the page is up to date, whatever the figures of the
machine on which it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from transformers import PreTrainedModel

from latentcrdt.core.geometry import Dtype, Geometry, RopeStyle
from latentcrdt.errors import UnsupportedModelError
from latentcrdt.hf import ModelContract
from latentcrdt.hf.tensors import TORCH_DTYPES
from tests.hf.refused import REFUSED, Refused
from tests.hf.shift import DISTANCE, ShiftErrors, shift_errors
from tests.hf.tiny_models import make_model
from tests.hf.variants import VARIANTS

TARGET = Path(__file__).parent.parent / "docs" / "models.md"

INTRODUCTION = f"""\
# Models

Written by `python -m scripts.make_models_page`; do not edit.

A model is accepted if its `model_type` is in the first table and the live model passes a self-test:
a few tokens at position 0 and again at 100 must give the same values, and keys turned by exactly
that. For a vision-language model, the `model_type` of its text part counts, and tokens alone are
captured. Everything else is refused with an error that says why: a wrong cache still answers
fluently.

## Accepted

Measured on a tiny random model of each, by the shipped renderer: the fragment of a capture at
position 0, moved by {DISTANCE} tokens, against a capture there. Relative error (Frobenius norm) of
the worst layer. Values are copied byte for byte, so what remains is the noise of two forward
passes. In bf16 it is larger where a router picks experts, since near ties fall differently.

In brackets: a variant of a family. *Turns*: how many dimensions of a head rotate, in adjacent
pairs where it says interleaved, else in halves. Rope types default, linear, llama3, yarn and
proportional are known; longrope and dynamic are refused in every family.

| model type | turns | layers | f32: K | V | bf16: K | V |
|---|---|---|---|---|---|---|
"""

REFUSED_INTRODUCTION = """
## Refused

| why | model types |
|---|---|
"""

ROTATION_INTRODUCTION = """
What a rotation would have left of some of them, on a tiny random model in f32 (keys that do not
turn are left alone):

| model type | K | V |
|---|---|---|
"""


Measurement = Callable[[], ShiftErrors]


def run(measurement: Measurement) -> ShiftErrors:
    """Run a measurement."""
    return measurement()


def page(measured: Callable[[Measurement], ShiftErrors] = run) -> str:
    """Return the page; a test, which compares all but the figures, does not run measurements."""
    accepted = [_accepted(variant, measured) for variant in VARIANTS]
    rotations = [_rotation(refused, measured) for refused in REFUSED if refused.rotation]
    parts = (INTRODUCTION, *accepted, REFUSED_INTRODUCTION, *_reasons(), ROTATION_INTRODUCTION)
    return "".join([*parts, *rotations])


def _accepted(variant: str, measured: Callable[[Measurement], ShiftErrors]) -> str:
    geometry = ModelContract.of(make_model(variant)).geometry
    errors = [
        _cells(measured(partial(_shift_errors_in, variant, dtype)))
        for dtype in (Dtype.F32, Dtype.BF16)
    ]
    return f"| {' | '.join([_name(variant), _turns(geometry), _layers(geometry), *errors])} |\n"


def _rotation(refused: Refused, measured: Callable[[Measurement], ShiftErrors]) -> str:
    errors = measured(lambda: refused.rotation(refused.make()))
    return f"| {_name(refused.name)} | {_cells(errors)} |\n"


def _shift_errors_in(variant: str, dtype: Dtype) -> ShiftErrors:
    return shift_errors(make_model(variant, dtype=TORCH_DTYPES[dtype]))


def _name(variant: str) -> str:
    model_type, _, particular = variant.partition(" ")
    return f"`{model_type}`" + (f" ({particular})" if particular else "")


def _cells(errors: ShiftErrors) -> str:
    return " | ".join(f"{error:.0e}" for error in errors)


def _turns(geometry: Geometry) -> str:
    """Return such as "8 of 16, interleaved"; a zero frequency turns nothing."""
    turns = {}
    for layer in geometry.layers:
        if layer.rope is not None:
            rope = geometry.ropes[layer.rope]
            dims = 2 * sum(frequency != 0 for frequency in rope.frequencies)
            style = ", interleaved" if rope.style is RopeStyle.INTERLEAVED else ""
            turns[f"{dims} of {layer.key_dim}{style}"] = None
    return "; ".join(turns)


def _layers(geometry: Geometry) -> str:
    """Return what is not plain: such as "2 of 4 slide, 2 do not turn"."""
    total = len(geometry.layers)
    sliding = sum(layer.window is not None for layer in geometry.layers)
    still = sum(layer.rope is None for layer in geometry.layers)
    notes = [f"{sliding} of {total} slide"] if sliding else []
    notes += [f"{still} of {total} do not turn"] if still else []
    notes += [f"{len(geometry.ropes)} thetas"] if len(geometry.ropes) > 1 else []
    return ", ".join(notes)


def _reasons() -> Iterator[str]:
    """Yield a row for each reason, as the errors give it, with the models it refuses."""
    names: dict[str, list[str]] = {}
    for refused in REFUSED:
        names.setdefault(_reason(refused.make()), []).append(_name(refused.name))
    for reason, refused_names in names.items():
        yield f"| {reason} | {', '.join(refused_names)} |\n"


def _reason(model: PreTrainedModel) -> str:
    try:
        ModelContract.of(model)
    except UnsupportedModelError as error:
        where = rf"(cache layer \d+|{model.config.get_text_config(decoder=True).model_type}): "
        return re.sub("^" + where, "", error.message)
    raise AssertionError(f"{model.config.model_type} was not refused")


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    print(f"wrote {TARGET.name}: {len(VARIANTS)} accepted, {len(REFUSED)} refused")
