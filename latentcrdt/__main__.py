"""``python -m latentcrdt``: the same as the ``latentcrdt`` command."""

from latentcrdt.cli import main

if __name__ == "__main__":
    main()
