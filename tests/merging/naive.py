"""The 23 rows of the table, written down once more: plain numpy, whole arrays, no shared code."""

from __future__ import annotations

from typing import Any

import numpy as np

Layers = list[tuple[Any, Any]]
"""K and V ``[H, T, D]`` of each layer, binary64."""


def naive_slerp(a: Any, b: Any, w: Any, axes: Any = -1) -> Any:
    na = np.sqrt((a * a).sum(axis=axes, keepdims=True))
    nb = np.sqrt((b * b).sum(axis=axes, keepdims=True))
    cosine = np.clip((a * b).sum(axis=axes, keepdims=True) / (na * nb), -1, 1)
    theta = np.arccos(cosine)
    direction = (np.sin((1 - w) * theta) * a / na + np.sin(w * theta) * b / nb) / np.sin(theta)
    return ((1 - w) * na + w * nb) * direction


def cos_of(a: Any, b: Any, axes: Any) -> Any:
    return (a * b).sum(axis=axes, keepdims=True) / (
        np.sqrt((a * a).sum(axis=axes, keepdims=True))
        * np.sqrt((b * b).sum(axis=axes, keepdims=True))
    )


def naive(  # noqa: C901, PLR0912, PLR0915  # a table: one case a row
    name: str, a: Layers, b: Layers, p: dict[str, float]
) -> Layers:
    """Return the merge of two branches by the formula of its row, with parameters ``p``."""
    w, tau = p.get("weight", 0.5), p.get("threshold", 0.7)
    num = len(a)
    heads = np.arange(a[0][0].shape[0])[:, None, None]
    whole = (1, 2)
    out = []
    for i, ((ka, va), (kb, vb)) in enumerate(zip(a, b, strict=True)):
        x = i / (num - 1)
        late = i >= num / 2

        def mix(one: Any, other: Any, weight: Any = w) -> Any:
            return (1 - weight) * one + weight * other

        match name:
            case "uniform-average":
                pair = mix(ka, kb), mix(va, vb)
            case "uniform-slerp":
                pair = naive_slerp(ka, kb, w), naive_slerp(va, vb, w)
            case "late-only":
                pair = (mix(ka, kb), mix(va, vb)) if late else (ka, va)
            case "early-only":
                pair = (ka, va) if late else (mix(ka, kb), mix(va, vb))
            case "sigmoid-ramp":
                wl = w / (1 + np.exp(-p["steepness"] * (x - 0.5)))
                pair = mix(ka, kb, wl), mix(va, vb, wl)
            case "last-layer-only":
                pair = (mix(ka, kb), mix(va, vb)) if i == num - 1 else (ka, va)
            case "layer-weights":
                wl = p.get(f"weight-{i}", w)
                pair = mix(ka, kb, wl), mix(va, vb, wl)
            case "cosine-gated":
                pair = (
                    np.where(cos_of(ka, kb, whole) > tau, mix(ka, kb), ka),
                    np.where(cos_of(va, vb, whole) > tau, mix(va, vb), va),
                )
            case "max-norm-head":
                pair = tuple(
                    np.where(
                        (m * m).sum(whole, keepdims=True) >= (n * n).sum(whole, keepdims=True), m, n
                    )
                    for m, n in ((ka, kb), (va, vb))
                )
            case "norm-weighted-slerp":
                pair = tuple(
                    naive_slerp(
                        m,
                        n,
                        np.sqrt((n * n).sum(whole, keepdims=True))
                        / (
                            np.sqrt((m * m).sum(whole, keepdims=True))
                            + np.sqrt((n * n).sum(whole, keepdims=True))
                        ),
                        whole,
                    )
                    for m, n in ((ka, kb), (va, vb))
                )
            case "sparse-interleaved":
                chosen = heads % p["every"] == 0
                pair = np.where(chosen, mix(ka, kb), ka), np.where(chosen, mix(va, vb), va)
            case "cumulative":
                pair = mix(ka, kb, w * x), mix(va, vb, w * x)
            case "odd-even-heads":
                pair = np.where(heads % 2 == 0, ka, kb), np.where(heads % 2 == 0, va, vb)
            case "orthogonal-injection":
                pair = tuple(
                    m
                    + w * (n - (m * n).sum(-1, keepdims=True) / (m * m).sum(-1, keepdims=True) * m)
                    for m, n in ((ka, kb), (va, vb))
                )
            case "v-only":
                pair = ka, mix(va, vb)
            case "v-only-b-keys":
                pair = kb, mix(va, vb)
            case "cross-wired":
                pair = ka, vb
            case "alignment-gated-v":
                pair = ka, np.where(cos_of(va, vb, -1) > tau, mix(va, vb), va)
            case "late-v-slerp":
                pair = ka, naive_slerp(va, vb, w) if late else va
            case "head-gated-v":
                pair = ka, np.where(cos_of(va, vb, whole) > tau, mix(va, vb), va)
            case _:
                raise AssertionError(name)
        out.append(pair)
    return out
