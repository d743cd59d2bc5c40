"""CanonicalMerge and what it is compared with, all as methods of one interface."""

from __future__ import annotations

from latentcrdt.agents.method import Method
from latentcrdt.agents.methods.bag_merge import BagMerge, bag_orders
from latentcrdt.agents.methods.canonical import CanonicalMerge
from latentcrdt.agents.methods.hand_off import TextHandOff
from latentcrdt.agents.methods.no_cache import NoCache
from latentcrdt.agents.methods.packllm import packllm_opt, packllm_sim
from latentcrdt.agents.methods.single import SingleAgent
from latentcrdt.agents.methods.text_merge import TextMerge
from latentcrdt.agents.team import Team

__all__ = ["build_methods"]


def build_methods(team: Team, num_agents: int) -> dict[str, Method]:
    """Return every method by name, for tasks of this many contexts.

    Best and worst order are no methods, since they know the right answer: a benchmark takes them
    from the answers of ``bag-...``.
    """
    methods: list[Method] = [
        SingleAgent(team),
        TextMerge(team),
        TextHandOff(team),
        NoCache(team),
        CanonicalMerge(team),
        *(BagMerge(team, order) for order in bag_orders(num_agents)),
        packllm_sim(team),
        packllm_opt(team),
    ]
    return {method.name: method for method in methods}
