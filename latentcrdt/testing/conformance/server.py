"""The server under test, as raw HTTP reaches it.

Not through our own Client: it verifies and retries, and so keeps wrong answers from being seen.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx2

from latentcrdt.client.calls import FRAGMENT_TYPE
from latentcrdt.client.wire import Settings
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import ConnectionFailedError, UnauthorizedError
from latentcrdt.testing.conformance.answer import Answer
from latentcrdt.testing.fragments import make_fragment, make_geometry

T = TypeVar("T")
R = TypeVar("R")

PREFIX = "conformance-"
"""With which the name of every state begins that a check makes."""

PARALLEL = 8
"""Requests under way at once where a check is about that."""

BUSY_RETRIES = 10
"""How often one request is repeated because a server that is in use says 429."""

LONGEST_WAIT_S = 5.0
"""Most seconds that one Retry-After is obeyed."""


class Server:
    """A server at an address, and names and fragments that it cannot know yet.

    May be used by several threads. Nothing of the server is touched but states whose names begin
    with ``prefix``, which is another for every `Server`.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """``token``: sent as Bearer; None: the environment's LATENTCRDT_TOKEN, if any."""
        run = uuid4().hex[:12]
        self.prefix = f"{PREFIX}{run}-"
        self.model_id = f"conformance-modèle@{run}"
        """Part of every fragment, so that none was ever pushed before this run."""
        self._counter = itertools.count()
        options = Settings(base_url=url, token=token).http_options()
        self.sends_token = "authorization" in options["headers"]
        self._http = httpx2.Client(**options)
        self._anonymous = httpx2.Client(
            **options
            | {"headers": {k: v for k, v in options["headers"].items() if k != "authorization"}}
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | Sequence[bytes] | None = None,
        anonymous: bool = False,
    ) -> Answer:
        """Send a request and return the answer, whatever it is.

        A 429 is asked again when its Retry-After says so. No answer at all is an AssertionError.
        """
        http = self._anonymous if anonymous else self._http

        def attempt() -> Answer:
            request = http.build_request(method, path, params=params, headers=headers, content=body)
            special = [f"{name}: {value}" for name, value in (headers or {}).items()]
            asked = ", ".join([f"{method} {request.url.raw_path.decode()}", *special])
            try:
                response = http.send(request)
            except httpx2.RequestError as error:
                raise AssertionError(f"{asked}: expected an answer, got {error!r}") from error
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(asked, response.status_code, names, response.content)

        answer = attempt()
        for _ in range(BUSY_RETRIES):
            wait = answer.headers.get("retry-after", "")
            if answer.status != 429 or not wait.isdecimal():
                break
            time.sleep(min(float(wait), LONGEST_WAIT_S))
            answer = attempt()
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a path; ``if_none_match='*'`` is a header."""
        return self.ask("GET", path, headers=_spelled(headers))

    def push(self, state: str, fragment: Fragment | bytes, **headers: str) -> Answer:
        """Push a fragment, or bytes that may be none."""
        body = fragment if isinstance(fragment, bytes) else fragment.to_bytes()
        return self.ask(
            "POST",
            f"/v1/states/{state}/fragments",
            headers={"content-type": FRAGMENT_TYPE, **_spelled(headers)},
            body=body,
        )

    def holding(self, *fragments: Fragment) -> str:
        """Return a new state to which these fragments were pushed, in this order."""
        state = self.fresh_state()
        for fragment in fragments:
            self.push(state, fragment).expect(201)
        return state

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the entries of the list of states, by name."""
        answer = self.get("/v1/states").expect(200)
        try:
            return {str(entry["name"]): dict(entry) for entry in answer.document()["states"]}
        except (KeyError, TypeError, ValueError) as error:
            raise AssertionError(
                f"{answer.asked}: expected 'states', each with its 'name'"
            ) from error

    def is_held(self, fragment_id: FragmentId) -> bool:
        """Return whether the server says that it holds a fragment."""
        return str(fragment_id) not in self.missing([str(fragment_id)])

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Return which of the ids the server says that it does not hold."""
        answer = self.ask_missing({"ids": list(ids)}).expect(200)
        missing = answer.document().get("missing")
        if not isinstance(missing, list) or not all(isinstance(i, str) for i in missing):
            raise AssertionError(f"{answer.asked}: expected a list 'missing', got {missing!r:.200}")
        return missing

    def ask_missing(self, document: Any) -> Answer:
        """Ask which ids are missing, with any document as JSON."""
        body = httpx2.Request("POST", "http://localhost", json=document).content
        headers = {"content-type": "application/json"}
        return self.ask("POST", "/v1/fragments/missing", headers=headers, body=body)

    def fresh_state(self) -> str:
        """Return the name of a state that is not there yet."""
        return f"{self.prefix}{next(self._counter)}"

    def fresh(
        self,
        *,
        num_layers: int = 2,
        windows: tuple[int | None, ...] = (),
        dtype: Dtype = Dtype.BF16,
        **choices: Any,
    ) -> Fragment:
        """Return a fragment that the server cannot hold yet; choices as of `make_fragment`."""
        geometry = make_geometry(
            dtype=dtype, num_layers=num_layers, windows=windows, model_id=self.model_id
        )
        return make_fragment(next(self._counter), geometry=geometry, **choices)

    def clear(self) -> None:
        """Retract the states of this run, as far as the server lets us; their names stay taken."""
        with suppress(AssertionError):
            for name in self.states():
                if name.startswith(self.prefix):
                    self.ask("DELETE", f"/v1/states/{name}")

    def at_once(self, do: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what ``do`` returns for each item, done by several threads."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(do, items))

    def require_answer(self) -> None:
        """Raise ConnectionFailedError if nobody answers here, UnauthorizedError if not to us."""
        # Spelled from its parts: an address may hold a password, and this is printed.
        address = f"{self._http.base_url.scheme}://{self._http.base_url.netloc.decode()}"
        try:
            response = self._http.get("/v1/states")
        except httpx2.RequestError as error:
            reason = str(error) or type(error).__name__
            raise ConnectionFailedError(f"{address}: no answer: {reason}") from error
        if response.status_code == 401:
            raise UnauthorizedError(f"{address}: expected a token that it accepts, got none")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
        self._anonymous.close()


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
