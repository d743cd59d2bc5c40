"""Capture: the keys and values that a model makes of some tokens, as a fragment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import Cache, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout, Placement, RenderPlan
from latentcrdt.core.rendered import Render
from latentcrdt.errors import (
    IncompatibleFragmentsError,
    InvalidRequestError,
    UnsupportedCacheError,
)
from latentcrdt.hf.cache import load_cache
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.layers import new_cache, plain_layers
from latentcrdt.hf.prefill import prefill
from latentcrdt.hf.tensors import TORCH_DTYPES, to_bytes
from latentcrdt.hf.tokens import token_ids_of
from latentcrdt.render.sort_key import check_keys
from latentcrdt.render.stream import render


def capture(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text_or_token_ids: str | Sequence[int],
    *,
    prefix: Fragment | Sequence[Fragment] | None = None,
    start: int | None = None,
    withhold_token_ids: bool = False,
) -> Fragment:
    """Prefill a model with a text, once, and return its keys and values as a fragment.

    ``prefix`` is the fragment to capture behind, or a chain of them, outermost first; the new
    fragment holds only the new rows. ``start`` is the position of the first token: by default the
    prefix's end, or 0. The tokenizer adds special tokens only where there is no prefix. The token
    ids are stored in the header unless withheld.

    Raises UnsupportedModelError or a leaf of it for a model that cannot be re-positioned,
    ModelMismatchError or IncompatibleFragmentsError for a prefix that does not fit,
    InvalidRequestError for no tokens, NonFiniteKeysError for keys that no render could hold.
    """
    chain = chain_of(prefix)
    token_ids = token_ids_of(model, tokenizer, text_or_token_ids, begins=not chain)
    ModelContract.of(model)
    start = start_behind(chain, start)
    cache = cache_behind(chain, model)
    prefill(model, token_ids, position=start, cache=cache)
    return fragment_from_cache(
        cache,
        model,
        start=start,
        seq_len=len(token_ids),
        prefix=chain[-1].fragment_id if chain else None,
        token_ids=None if withhold_token_ids else token_ids,
    )


def chain_of(prefix: Fragment | Sequence[Fragment] | None) -> list[Fragment]:
    """Return a prefix, or a chain of them, as a chain, outermost first."""
    return [prefix] if isinstance(prefix, Fragment) else list(prefix or ())


def start_behind(chain: Sequence[Fragment], start: int | None) -> int:
    """Return the position of the first token behind a chain: its end, unless told otherwise."""
    base = chain[-1].header.stop if chain else 0
    if start is None:
        return base
    if start < base:
        raise InvalidRequestError(f"start: expected at least {base}, the prefix's end, got {start}")
    return start


def cache_behind(chain: Sequence[Fragment], model: PreTrainedModel) -> DynamicCache:
    """Return a cache that holds a chain of prefixes, where they were captured, or nothing."""
    return load_cache(in_place(chain), model) if chain else new_cache(model)


def fragment_from_cache(
    cache: Cache,
    model: PreTrainedModel,
    *,
    start: int,
    seq_len: int,
    prefix: FragmentId | None = None,
    token_ids: Sequence[int] | None = None,
    latent_inputs: tuple[int, Buffer] | None = None,
) -> Fragment:
    """Return the last ``seq_len`` tokens of a model's cache as a fragment.

    The caller vouches for ``start``, ``prefix`` and ``token_ids``: a cache does not know them.
    ``latent_inputs`` is as in `Fragment.build`. Raises UnsupportedCacheError for a cache that is
    not plain, not of this model, of several sequences or too short, NonFiniteKeysError for keys
    that no render could hold.
    """
    geometry = ModelContract.of(model).geometry
    layers = plain_layers(cache)
    if len(layers) != len(geometry.layers):
        raise UnsupportedCacheError(
            f"cache: expected {len(geometry.layers)} layers, got {len(layers)}"
        )
    sections = []
    for i, (layer, spec) in enumerate(zip(layers, geometry.layers, strict=True)):
        key_shape = (1, spec.num_kv_heads, spec.rows(seq_len), spec.key_dim)
        value_shape = (1, spec.num_kv_heads, spec.rows(seq_len), spec.value_dim)
        keys = _last_rows(layer.keys, key_shape, geometry.dtype, f"cache layer {i}, keys")
        values = _last_rows(layer.values, value_shape, geometry.dtype, f"cache layer {i}, values")
        sections.append((keys, values))
    fragment = Fragment.build(
        geometry,
        sections,
        start=start,
        seq_len=seq_len,
        prefix=prefix,
        token_ids=token_ids,
        latent_inputs=latent_inputs,
    )
    check_keys(fragment)
    return fragment


def _last_rows(
    tensor: torch.Tensor | None, shape: tuple[int, int, int, int], dtype: Dtype, what: str
) -> memoryview:
    """Return the bytes of the last rows of a layer's K or V, ``shape`` of them."""
    last = None if tensor is None else tensor[..., -shape[2] :, :]
    if last is None or last.shape != shape or last.dtype != TORCH_DTYPES[dtype]:
        got = "none" if tensor is None else f"{list(tensor.shape)} of {tensor.dtype}"
        raise UnsupportedCacheError(
            f"{what}: expected at least {list(shape)} of {TORCH_DTYPES[dtype]}, got {got}"
        )
    return to_bytes(last)


def in_place(chain: Sequence[Fragment]) -> Render:
    """Return a chain of prefixes, outermost first, as a render that moves nothing."""
    headers = [fragment.header for fragment in chain]
    behind_others = place(headers[-1:], headers[:-1])  # checks that each is behind the one before
    if len(chain) > 1 and behind_others.base != headers[-1].start:
        raise IncompatibleFragmentsError(
            f"prefix {chain[-1].fragment_id}: expected to start where the one before it ends, at "
            f"{behind_others.base}, got {headers[-1].start}",
            id=str(chain[-1].fragment_id),
        )
    geometry = headers[-1].geometry
    plan = RenderPlan(
        geometry,
        Layout.SEQUENTIAL,
        (),
        tuple(Placement(h.fragment_id, h.start, h.seq_len, h.start) for h in headers),
        LayerRange(0, len(geometry.layers)),
    )
    return render(plan, {fragment.fragment_id: fragment for fragment in chain})
