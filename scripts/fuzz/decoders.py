"""One decoder under atheris, which follows its branches: run by ``python -m scripts.fuzz``.

To try one input again: ``python -m scripts.fuzz.decoders NAME FILE``.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["latentcrdt"]):
    from scripts.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz the decoder of this name; what follows are options and files of libFuzzer."""
    program, name, *options = sys.argv
    atheris.Setup([program, *options], TARGETS[name].try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
