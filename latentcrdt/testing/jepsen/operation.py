"""One line of a history: what a process asked or was answered, and when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from latentcrdt.errors import MalformedError
from latentcrdt.testing.jepsen.elements import Elements

Type: TypeAlias = Literal["invoke", "ok", "fail", "info"]
NEMESIS = -1
"""The process that injects faults: its operations are all ``info``."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of a history."""

    index: int
    time_ns: int
    """Since the run began, on one monotonic clock."""
    process: int
    type: Type
    function: str
    """``add`` or ``read``; the name of the fault when the process is the nemesis."""
    value: int | Elements | str | None = None
    """The element of an add, what a read saw, what a fault did."""
    server: int | None = None
    """The server that was asked."""
    error: str | None = None
    """Why it is ``fail`` or ``info``."""

    def to_line(self) -> str:
        """Return the operation as one line of JSON."""
        fields: dict[str, Any] = {
            "index": self.index,
            "time": self.time_ns,
            "process": self.process,
            "type": self.type,
            "f": self.function,
            "value": self.value.runs if isinstance(self.value, Elements) else self.value,
            "server": self.server,
            "error": self.error,
        }
        return json.dumps({k: v for k, v in fields.items() if v is not None}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Operation:
        """Return the operation that a line spells; raises MalformedError."""
        try:
            fields: dict[str, Any] = json.loads(line)
            value = fields.get("value")
            if isinstance(value, list):
                value = Elements(tuple((first, last) for first, last in value))
            operation = cls(
                fields["index"],
                fields["time"],
                fields["process"],
                fields["type"],
                fields["f"],
                value,
                fields.get("server"),
                fields.get("error"),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedError(
                f"history: expected a line of JSON that is one operation, got {line!r:.200}"
            ) from error
        if operation.type not in get_args(Type):
            raise MalformedError(
                f"history: expected one of the types {get_args(Type)}, got {operation.type!r:.80}"
            )
        return operation
