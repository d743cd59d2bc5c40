"""``python -m latentcrdt_server``: serve with the settings of the environment."""

import sys

from pydantic import ValidationError

from latentcrdt.errors import LatentCRDTError
from latentcrdt_server.process import run
from latentcrdt_server.settings import Settings


def main() -> None:
    """Serve; what keeps the server from starting is one line on stderr and a status."""
    try:
        run(Settings())
    except ValidationError as error:
        first = error.errors()[0]
        name = "LATENTCRDT_" + "_".join(map(str, first["loc"])).upper()
        _end(f"{name}: {first['msg']}", status=2)
    except LatentCRDTError as error:
        _end(f"[{error.code}] {error}", status=1)


def _end(reason: str, *, status: int) -> None:
    sys.stderr.write(f"error {reason}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
