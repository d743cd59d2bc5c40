"""The ``latentcrdt`` command: one file for each subcommand."""

from latentcrdt.cli.app import main

__all__ = ["main"]
