"""Loading the shipped weights. Never touches the network."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3ForCausalLM

from latentcrdt.errors import InvalidRequestError

CHECKPOINTS = ("final", "early")
"""``early`` is an unfinished state of the same training run: two models of one architecture."""


def checkpoint_path(checkpoint: str = "final") -> Path:
    """Return the directory of a checkpoint, as transformers lays it out.

    Raises InvalidRequestError for a checkpoint that does not exist.
    """
    if checkpoint not in CHECKPOINTS:
        raise InvalidRequestError(
            f"checkpoint: expected one of {list(CHECKPOINTS)}, got {checkpoint!r:.80}"
        )
    return Path(__file__).parent / checkpoint


def load_reference_model(
    checkpoint: str = "final",
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return the reference model, in evaluation mode on the CPU in float32, and its tokenizer.

    Raises InvalidRequestError for a checkpoint that does not exist.
    """
    path = checkpoint_path(checkpoint)
    model = Qwen3ForCausalLM.from_pretrained(path, local_files_only=True, use_safetensors=True)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(path, local_files_only=True)
    return model, tokenizer
