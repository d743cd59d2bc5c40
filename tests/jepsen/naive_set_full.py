"""Set-full again, from the sentences of its definition and without any thought of speed.

Written apart from the checker: it walks the timeline of one element at a time, and asks at each
read whether every later one sees the element, instead of looking for the last that differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.testing.jepsen.elements import Elements
from latentcrdt.testing.jepsen.history import History


@dataclass(frozen=True)
class Sight:
    """One read, from the point of view of one element."""

    began: int
    began_ns: int
    ended: int
    ended_ns: int
    sees: bool


def outcomes(history: History) -> dict[int, tuple[str, int | None]]:
    """Outcome and latency in ns, by element."""
    found = {}
    for position, op in enumerate(history.operations):
        if op.function == "add" and op.type == "invoke":
            assert isinstance(op.value, int)
            found[op.value] = _outcome(history, op.value, position)
    return found


def _outcome(history: History, element: int, added: int) -> tuple[str, int | None]:
    sights = [sight for sight in _sights(history, element) if sight.ended > added]
    known = _known(history, element, sights)
    for k in range(len(sights)):
        if all(later.sees for later in sights[k:]):
            assert known is not None
            # The moment of stability is just after the read before, which missed it, had begun.
            moment = sights[k - 1].began_ns + 1 if k else 0
            return "stable", max(0, moment - known[1])
    for k in range(len(sights)):
        if known and not any(later.sees for later in sights[k:]) and sights[-1].began > known[0]:
            moment = sights[k - 1].began_ns + 1 if k else 0
            return "lost", max(0, moment - known[1])
    return "never read", None


def _known(history: History, element: int, sights: list[Sight]) -> tuple[int, int] | None:
    """Position and time at which somebody first knew."""
    moments = [(s.ended, s.ended_ns) for s in sights if s.sees]
    moments += [
        (position, op.time_ns)
        for position, op in enumerate(history.operations)
        if (op.function, op.type, op.value) == ("add", "ok", element)
    ]
    return min(moments, default=None)


def _sights(history: History, element: int) -> list[Sight]:
    sights = []
    for began, op in enumerate(history.operations):
        if op.function == "read" and op.type == "invoke":
            for ended in range(began + 1, len(history.operations)):
                end = history.operations[ended]
                if end.process == op.process:
                    if end.type == "ok":
                        assert isinstance(end.value, Elements)
                        sees = element in list(end.value)
                        sights.append(Sight(began, op.time_ns, ended, end.time_ns, sees))
                    break
    return sights
