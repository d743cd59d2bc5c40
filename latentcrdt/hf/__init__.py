"""transformers models at both ends: capture fragments of one, decode from renders with one."""

from latentcrdt.hf.cache import load_cache
from latentcrdt.hf.capture import capture, fragment_from_cache
from latentcrdt.hf.continuation import Continuation, stop_ids_of
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.decode import decode_inputs, generate
from latentcrdt.hf.gemma3 import load_gemma3
from latentcrdt.hf.smollm2 import load_smollm2

__all__ = [
    "Continuation",
    "ModelContract",
    "capture",
    "decode_inputs",
    "fragment_from_cache",
    "generate",
    "load_cache",
    "load_gemma3",
    "load_smollm2",
    "stop_ids_of",
]
