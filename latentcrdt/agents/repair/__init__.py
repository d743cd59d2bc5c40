"""Repairs: win back what independent prefill loses, without training (docs/repair.md)."""

from latentcrdt.agents.repair.ape import APE
from latentcrdt.agents.repair.cacheblend import CacheBlend
from latentcrdt.agents.repair.legolink import LegoLink
from latentcrdt.agents.repair.reprefill import Reprefill

__all__ = ["APE", "CacheBlend", "LegoLink", "Reprefill"]
