from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "fastapi", "uvicorn", "pydantic")


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import latentcrdt", (*HEAVY, "httpx2", "numpy")),
        ("from latentcrdt import AsyncClient, Client", (*HEAVY, "numpy")),
        ("import latentcrdt.cli", (*HEAVY, "numpy")),
    ],
)
def test_an_import_loads_only_what_it_needs(statement, unwanted):
    program = f"{statement}; import sys; print([m for m in {unwanted} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert run.stdout.strip() == b"[]"


def test_every_name_that_the_package_lists_is_there():
    import latentcrdt

    assert all(getattr(latentcrdt, name) is not None for name in latentcrdt.__all__)
    with pytest.raises(AttributeError):
        _ = latentcrdt.Nonsense
