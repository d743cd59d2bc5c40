"""What a latent merge costs: seconds of a prefill and of a decoded token, beside one model alone.

``python -m scripts.measure_latent_merge`` runs SmolLM2 beside a second copy of itself: times do not
depend on what the weights say. The second model runs up to the merged layer and no further.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median

import torch

from latentcrdt.hf.continuation import Continuation
from latentcrdt.hf.smollm2 import load_smollm2
from latentcrdt.merging.models import latent_merge
from latentcrdt.merging.operators import lerp, slerp

PROMPT_TOKENS = 128
DECODED_TOKENS = 8
REPEATS = 5
LAYERS = (4, 14, 24, 29)


def seconds(within: Callable[[], AbstractContextManager[None]]) -> tuple[float, float]:
    """Return the medians of a prefill and of one decoded token."""
    prefills, tokens = [], []
    for _ in range(REPEATS):
        with within():
            going_on = Continuation.from_nothing(base)
            began = time.perf_counter()
            going_on.feed(range(1000, 1000 + PROMPT_TOKENS))
            filled = time.perf_counter()
            for _ in range(DECODED_TOKENS):
                going_on.feed([1000])
            tokens.append((time.perf_counter() - filled) / DECODED_TOKENS)
            prefills.append(filled - began)
    return median(prefills), median(tokens)


if __name__ == "__main__":
    (base, _), (tuned, _) = load_smollm2(), load_smollm2()
    alone = seconds(nullcontext)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread")
    print("| | prefill, ms | decoded token, ms | prefill | token |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| one model | {1e3 * alone[0]:.0f} | {1e3 * alone[1]:.1f} | 1 | 1 |")
    for operator in (lerp, slerp):
        for layer in LAYERS:
            prefill, token = seconds(
                lambda operator=operator, layer=layer: latent_merge(
                    base, tuned, layer=layer, alpha=0.5, operator=operator
                )
            )
            print(
                f"| {operator.__name__}, layer {layer} | {1e3 * prefill:.0f} | {1e3 * token:.1f} | "
                f"{prefill / alone[0]:.2f} | {token / alone[1]:.2f} |"
            )
