"""The second model's keys and values, kept in step with the first's by lying in the same cache.

A cache is a list of layers. Those of the second model are appended to it, so that whatever is done
to the cache as a whole (beams reordered, a batch repeated or selected, rows cropped, all reset) is
done to both, and no bookkeeping can disagree with it. When the merge ends they are taken out again.
"""

from __future__ import annotations

from weakref import WeakSet

from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from latentcrdt.errors import UnsupportedCacheError
from latentcrdt.hf.layers import plain_layers, window_of
from latentcrdt.merging.models.decoder import Decoder


class SecondCache:
    """Finds the second model's part of the caches that the first model is given."""

    def __init__(self, base: Decoder, tuned: Decoder, num_layers: int) -> None:
        """Take the two decoders, and how many layers of the second one run."""
        self._base, self._tuned = base, tuned
        self._num_layers = num_layers
        self._extended: WeakSet[Cache] = WeakSet()

    def of(self, cache: Cache) -> DynamicCache:
        """Return the second model's cache that belongs to a cache of the first.

        The two share what lies in the layers. Raises UnsupportedCacheError for a cache whose layers
        are not plain keys and values, and for rows that the second model never saw.
        """
        own = len(self._base.layers)
        while len(cache.layers) < own and cache.layer_class_to_replicate is not None:
            # A cache made without a configuration would get its layers one by one, as they run.
            cache.layers.append(cache.layer_class_to_replicate())
        layers = plain_layers(cache)
        if len(layers) == own:
            layers.extend([_empty_like(layer) for layer in layers[: self._num_layers]])
            self._extended.add(cache)
        second = DynamicCache(config=self._tuned.config)
        second.layers = [*layers[own:]]
        first_rows, second_rows = cache.get_seq_length(), second.get_seq_length()
        if first_rows != second_rows:
            raise UnsupportedCacheError(
                f"latent merge: expected a cache whose rows both models have seen, got one of "
                f"{first_rows} rows, of which the second model has {second_rows}: fill it within "
                "the merge"
            )
        return second

    def take_out(self) -> None:
        """Leave every cache with the first model's layers alone."""
        for cache in self._extended:
            del cache.layers[len(self._base.layers) :]
        self._extended.clear()


def _empty_like(layer: DynamicLayer) -> DynamicLayer:
    """Return an empty layer that keeps as many rows: masks are made by the kinds of the layers."""
    window = window_of(layer)
    if window is not None:
        return DynamicSlidingWindowLayer(window)
    return DynamicLayer()  # type: ignore[no-untyped-call]
