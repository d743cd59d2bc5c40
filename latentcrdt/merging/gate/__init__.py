"""A gate before branches are merged: try a merge, and see whether it would carry both."""

from latentcrdt.merging.gate.metrics import Metrics
from latentcrdt.merging.gate.policy import Gate
from latentcrdt.merging.gate.probes import PROBES, probe_ids
from latentcrdt.merging.gate.trial import Trial, try_merge

__all__ = ["PROBES", "Gate", "Metrics", "Trial", "probe_ids", "try_merge"]
