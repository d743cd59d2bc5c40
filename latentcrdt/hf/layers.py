"""The cache layers that hold plain keys and values: the only ones that can be cut and joined."""

from __future__ import annotations

from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from latentcrdt.errors import UnsupportedCacheError
from latentcrdt.hf.arriving import ArrivingLayer, ArrivingSlidingLayer

PLAIN = (DynamicLayer, DynamicSlidingWindowLayer, ArrivingLayer, ArrivingSlidingLayer)

REASONS = {
    "LinearAttention": "a recurrent state sums up all tokens and cannot be cut into rows",
    "Quantized": "quantised keys are rounded in blocks and cannot be rotated",
    "Dummy": "the layer reads another layer's keys and has none of its own",
    "Indexed": "its indexer keys are not part of a fragment",
    "Static": "it is padded to a fixed length",
}
"""Why, by a part of the layer's class name; for the message only."""


def plain_layers(cache: object) -> list[DynamicLayer]:
    """Return the layers of a cache, each growing or sliding, of plain keys and values.

    Raises UnsupportedCacheError, naming the kind, for any other. Subclasses are refused too: what
    they add to keys and values would be lost.
    """
    layers = getattr(cache, "layers", None)
    if not isinstance(cache, Cache) or not isinstance(layers, list):
        raise UnsupportedCacheError(
            f"expected a transformers Cache of layers, got {type(cache).__name__}",
            kind=type(cache).__name__,
        )
    for i, layer in enumerate(layers):
        if type(layer) not in PLAIN:
            kind = type(layer).__name__
            reason = next((why for part, why in REASONS.items() if part in kind), "it is unknown")
            raise UnsupportedCacheError(
                f"cache layer {i}: expected plain keys and values, got {kind}: {reason}",
                layer=i,
                kind=kind,
            )
    return layers


def new_cache(model: PreTrainedModel) -> DynamicCache:
    """Return an empty cache of the kind that the model's configuration asks for.

    Raises UnsupportedCacheError unless its layers are plain.
    """
    cache = DynamicCache(config=model.config)
    plain_layers(cache)
    return cache


def window_of(layer: DynamicLayer) -> int | None:
    """Return the window of a sliding layer, None for a full one."""
    return layer.sliding_window if isinstance(layer, DynamicSlidingWindowLayer) else None
