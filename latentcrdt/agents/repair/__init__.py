"""Repairs: win back what independent prefill loses, without training (docs/repair.md)."""

from latentcrdt.agents.repair.cacheblend import CacheBlend
from latentcrdt.agents.repair.legolink import LegoLink
from latentcrdt.agents.repair.reprefill import Reprefill

__all__ = ["CacheBlend", "LegoLink", "Reprefill"]
