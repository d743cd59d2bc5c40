"""BagMerge: the agents' fragments in an order that someone chose (arXiv 2602.03695)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import factorial

from latentcrdt.agents.answering import answer_from_render
from latentcrdt.agents.method import Answer, Task
from latentcrdt.agents.team import Team

MAX_ORDERS = 24
"""Up to so many orders, all are tried: those of four agents."""


@dataclass(frozen=True, slots=True)
class BagMerge:
    """The final agent decodes from the fragments in one fixed order of the agents."""

    team: Team
    order: tuple[int, ...]
    """The agents' indices, first to last."""

    @property
    def name(self) -> str:
        """``bag-`` and the order, such as ``bag-10``."""
        return "bag-" + "".join(map(str, self.order))

    def answer(self, task: Task) -> Answer:
        """Return the answer; InvalidRequestError for a task of another number of agents."""
        return answer_from_render(self.team, task, self.team.read(task), self.order)


def bag_orders(num_agents: int) -> list[tuple[int, ...]]:
    """Return the orders to try: all, or, beyond ``MAX_ORDERS``, each rotation and its reverse.

    Best and worst of all orders are then only bounded by those of the ones tried.
    """
    agents = tuple(range(num_agents))
    if factorial(num_agents) <= MAX_ORDERS:
        return list(permutations(agents))
    rotations = [agents[i:] + agents[:i] for i in agents]
    return [*rotations, *(rotation[::-1] for rotation in rotations)]
