"""``latentcrdt demo``: the whole path on a real small model, checked as it goes."""

from latentcrdt.cli.demo.command import demo

__all__ = ["demo"]
