"""A folder that both ends mount: torch.save and safetensors of a transformers cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from latentcrdt.core.fragment import Fragment
from scripts.bench_peers.contender import Contender, Outcome, Payload, Running, always_right
from scripts.bench_peers.fragments import HEAD_DIM, NUM_KV_HEADS, NUM_LAYERS

if TYPE_CHECKING:  # a second and 200 MB, which only this contender's sessions should pay
    import torch
    from transformers import DynamicCache

TORCH_SAVE, TORCH_LOAD = "torch.save", "torch.load"
SAFE_SAVE, SAFE_LOAD = "safetensors save", "safetensors load"


class FolderSession:
    """One who writes and reads files there."""

    def __init__(self, address: str) -> None:
        self._folder = Path(address)

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return a save, of a cache made before, or a load into a cache."""
        import torch  # noqa: PLC0415  # see above
        from safetensors.torch import load_file, save_file  # noqa: PLC0415

        torch.set_num_threads(1)
        path = self._path(operation, payload)
        if operation in (TORCH_SAVE, SAFE_SAVE):
            cache = _cache(_tensors(payload.fragment))

            def save() -> Outcome:
                if operation == TORCH_SAVE:
                    torch.save(cache, path)
                else:
                    save_file(_named(cache), path)
                return Outcome(always_right)

            return save

        def load() -> Outcome:
            if operation == TORCH_LOAD:
                # Its safe mode refuses a DynamicCache: this runs whatever code the file names.
                cache = torch.load(path, weights_only=False)
            else:
                named = load_file(path)
                cache = _cache([(named[f"k{i}"], named[f"v{i}"]) for i in range(NUM_LAYERS)])
            return Outcome(lambda: _holds(cache, payload.fragment))

        return load

    def forget(self, payload: Payload) -> None:
        """Delete the files."""
        for operation in (TORCH_SAVE, SAFE_SAVE):
            self._path(operation, payload).unlink(missing_ok=True)

    def _path(self, operation: str, payload: Payload) -> Path:
        return self._folder / f"{payload.key}{'.pt' if 'torch' in operation else '.safetensors'}"


def _tensors(fragment: Fragment) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return K and V of each layer, ``[1, H, T, D]``."""
    import torch  # noqa: PLC0415  # see above

    body = torch.frombuffer(bytearray(fragment.body), dtype=torch.bfloat16)
    layers = body.reshape(NUM_LAYERS, 2, 1, NUM_KV_HEADS, -1, HEAD_DIM)
    return [(layer[0], layer[1]) for layer in layers]


def _cache(layers: list[tuple[torch.Tensor, torch.Tensor]]) -> DynamicCache:
    from transformers import DynamicCache  # noqa: PLC0415  # see above

    return DynamicCache(ddp_cache_data=layers)


def _named(cache: DynamicCache) -> dict[str, torch.Tensor]:
    named: dict[str, torch.Tensor] = {}
    for i, (keys, values) in enumerate(_held(cache)):
        named |= {f"k{i}": keys, f"v{i}": values}
    return named


def _holds(cache: DynamicCache, fragment: Fragment) -> bool:
    import torch  # noqa: PLC0415  # see above

    return all(
        torch.equal(keys, expected_keys) and torch.equal(values, expected_values)
        for (keys, values), (expected_keys, expected_values) in zip(
            _held(cache), _tensors(fragment), strict=True
        )
    )


def _held(cache: DynamicCache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    from latentcrdt.hf.layers import plain_layers  # noqa: PLC0415  # see above

    held = []
    for layer in plain_layers(cache):
        assert layer.keys is not None
        assert layer.values is not None
        held.append((layer.keys, layer.values))
    return held


@contextmanager
def shared_folder(folder: Path) -> Iterator[Running]:
    """Serve nothing: the folder itself is the address."""
    yield Running(str(folder), None)


SHARED_FOLDER = Contender(
    "shared folder",
    (TORCH_SAVE, SAFE_SAVE),
    (TORCH_LOAD, SAFE_LOAD),
    "nothing is hashed and nothing fsynced; a load ends in a DynamicCache",
    shared_folder,
    FolderSession,
)
