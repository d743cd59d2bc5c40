"""Repairs: win back what independent prefill loses, without training (docs/repair.md)."""

from latentcrdt.agents.repair.ape import APE
from latentcrdt.agents.repair.cacheblend import CacheBlend
from latentcrdt.agents.repair.legolink import LegoLink
from latentcrdt.agents.repair.reprefill import Reprefill
from latentcrdt.agents.repair.verify import verify_derived
from latentcrdt.render.derived import derive

__all__ = ["APE", "CacheBlend", "LegoLink", "Reprefill", "derive", "verify_derived"]
