"""latent_merge: two models run side by side, and at one layer their hidden states become one.

The first model's layers above go on from h' = M(h_A, h_B; alpha). Nothing but hooks is added, and
no weight is touched: when the block ends, however it ends, both models are what they were.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn, TypeAlias
from weakref import WeakSet

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel

from latentcrdt.errors import InvalidRequestError
from latentcrdt.merging.models.blend import Operator, blend, check_alpha
from latentcrdt.merging.models.decoder import (
    Decoder,
    check_same_architecture,
    hidden_of,
    with_hidden,
)
from latentcrdt.merging.models.second_cache import SecondCache
from latentcrdt.merging.operators import lerp

When: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor | bool]
"""From both hidden states ``[B, T, D]`` to whether to merge: for all tokens, or ``[B, T]`` bool."""

Rule: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

RECORDED = ("output_hidden_states", "output_attentions")
"""What a caller may want recorded of the base model, and nobody of the tuned one."""

_in_use: WeakSet[nn.Module] = WeakSet()
"""Decoders that take part in a merge: two on one model would each hook into the other."""


@contextmanager
def latent_merge(
    base: PreTrainedModel,
    tuned: PreTrainedModel,
    *,
    layer: int,
    alpha: float,
    operator: Operator = lerp,
    when: When | None = None,
) -> Iterator[None]:
    """Within the block, ``base`` goes on behind a layer from what it and ``tuned`` make together.

    ``alpha`` is the weight of ``tuned``. Where ``when`` says no, base's hidden states stay as they
    are, to the bit. Call or ``generate`` with ``base`` as ever, with any batch, mask or cache: the
    tuned model reads the same inputs (a caller's ``inputs_embeds`` too), up to that layer, and
    keeps rows of its own in the same cache until the block ends. One call at a time.

    Raises InvalidRequestError for a layer or alpha out of range, one model given twice, or one that
    takes part in a merge already; ModelMismatchError for models of two architectures, dtypes or
    devices; UnsupportedModelError where no layers are found; and within the block
    UnsupportedCacheError as `SecondCache.of` does.
    """
    pair = Decoder.of(base), Decoder.of(tuned)
    for index, decoder in enumerate(pair):
        if decoder.module in _in_use or decoder.module is pair[index - 1].module:
            raise InvalidRequestError("latent merge: expected two models, neither of them merging")
    check_same_architecture(*pair)
    merge = _Merge(*pair, layer, _rule(operator, check_alpha(alpha), when))
    with ExitStack() as undo:
        for decoder in pair:
            _in_use.add(decoder.module)
            undo.callback(_in_use.discard, decoder.module)
        undo.callback(merge.caches.take_out)
        for handle in merge.hooks():
            undo.callback(handle.remove)
        yield


class _Merge:
    """The hooks of one merge, and what passes between them during one forward pass."""

    def __init__(self, base: Decoder, tuned: Decoder, layer: int, rule: Rule) -> None:
        self._base, self._tuned = base, tuned
        self._layer, self._rule = layer, rule
        self._merged_layer = base.layer(layer)
        self._names = tuple(inspect.signature(base.module.forward).parameters)
        self._of_tuned: torch.Tensor | None = None
        self.caches = SecondCache(base, tuned, layer + 1)

    def hooks(self) -> Iterator[Any]:
        """Put the hooks on the base model and yield what takes them off."""
        yield self._base.module.register_forward_pre_hook(self._run_tuned, with_kwargs=True)
        # Before other hooks, so that whoever records the layer's output records the merged one.
        yield self._merged_layer.register_forward_hook(self._merge, prepend=True)

    def _run_tuned(
        self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Run the tuned model on what the base model is about to run on."""
        # By name, whichever way the caller spelled them.
        inputs = {**dict(zip(self._names, args, strict=False)), **kwargs}
        cache = inputs.get("past_key_values")
        uses_cache = inputs.get("use_cache")
        if uses_cache is None:
            uses_cache = self._base.config.use_cache
        if cache is None and uses_cache:
            # As the model itself would; but this one can be told apart from others.
            cache = inputs["past_key_values"] = DynamicCache(config=self._base.config)
        second = None if cache is None else self.caches.of(cache)
        unasked = {name: False for name in RECORDED if name in inputs}
        self._of_tuned = self._until_layer({**inputs, "past_key_values": second, **unasked})
        return (), inputs

    def _until_layer(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the tuned model's hidden states behind the layer; what lies above does not run."""

        def stop(_layer: nn.Module, _args: Any, output: Any) -> NoReturn:
            raise _Reached(hidden_of(output))

        # For this pass alone: whoever else calls the tuned model gets all of it.
        handle = self._tuned.layer(self._layer).register_forward_hook(stop, prepend=True)
        try:
            self._tuned.module(**inputs)
        except _Reached as reached:
            return reached.hidden
        finally:
            handle.remove()
        raise AssertionError("a decoder runs all of its layers")

    def _merge(self, _layer: nn.Module, _args: Any, output: Any) -> Any:
        a, b = hidden_of(output), self._of_tuned
        if b is None:
            raise InvalidRequestError(
                f"latent merge: expected layer {self._layer} to run within its model"
            )
        self._of_tuned = None
        return with_hidden(output, self._rule(a, b))


class _Reached(Exception):  # noqa: N818  # no error: it carries a result out of a forward pass
    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


def _rule(operator: Operator, alpha: float, when: When | None) -> Rule:
    """Return what makes one of two hidden states."""

    def rule(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        merged = blend(operator, a, b, alpha)
        return merged if when is None else torch.where(_condition(when(a, b), a), merged, a)

    return rule


def _condition(answer: torch.Tensor | bool, hidden: torch.Tensor) -> torch.Tensor:
    """Return what a condition said, as booleans that broadcast against hidden states."""
    said = torch.as_tensor(answer, device=hidden.device)
    if said.dtype != torch.bool or said.shape not in (torch.Size(), hidden.shape[:2]):
        raise InvalidRequestError(
            f"when: expected a boolean, or booleans of shape {list(hidden.shape[:2])}, got "
            f"{said.dtype} of shape {list(said.shape)}"
        )
    return said[..., None]
