"""``latentcrdt bench``: speed, as ratios to the limits of this machine, in one run."""

from latentcrdt.cli.bench.command import bench

__all__ = ["bench"]
