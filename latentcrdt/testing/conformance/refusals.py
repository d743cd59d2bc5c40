"""What cannot be answered is a problem document with its status and its code."""

from __future__ import annotations

from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.expected import plan_of
from latentcrdt.testing.conformance.server import Server

refusals = Group("refusals")

PROBLEMS = "RFC 9457 section 3"
RENDER = "OpenAPI: GET /v1/states/{state}/render"
RENDERS = ("plan", "render", "receipt")

WRONG_QUERIES = (
    "layout=spiral",
    "layout=slotted",
    "stride=5",
    "layout=slotted&stride=1",
    "layout=slotted&stride=-9",
    "colour=red",
    "layers=0:1&layers=0:1",
    "layers=a:b",
)
"""Queries that mean nothing for fragments of five tokens."""


@refusals.check(PROBLEMS)
def unknown_states(server: Server) -> None:
    """A state that was never declared or added to is not found, however it is asked for."""
    state = server.fresh_state()
    for path in ("", *(f"/{call}" for call in RENDERS)):
        server.get(f"/v1/states/{state}{path}").problem(404, "state_not_found")


@refusals.check(PROBLEMS)
def unknown_fragments(server: Server) -> None:
    """A fragment that is not held is not found: by GET with a problem, by HEAD without a body."""
    path = f"/v1/fragments/{server.fresh().fragment_id}"
    server.get(path).problem(404, "fragment_not_found")
    equal(f"HEAD {path}: body", b"", server.ask("HEAD", path).expect(404).body)


@refusals.check(PROBLEMS)
def unknown_paths(server: Server) -> None:
    """A path that the API does not have is not found, in its words."""
    for path in ("/v1/no-such-path", f"/v1/states/{server.fresh_state()}/no-such-path"):
        server.get(path).problem(404, "route_not_found")


@refusals.check("RFC 9110 section 15.5.6")
def methods(server: Server) -> None:
    """A method that a path does not know is 405, and Allow names those that it does."""
    state = server.holding(fragment := server.fresh())
    for path, known in (
        (f"/v1/fragments/{fragment.fragment_id}", "GET"),
        (f"/v1/states/{state}/fragments", "POST"),
        (f"/v1/states/{state}", "GET"),
    ):
        answer = server.ask("PATCH", path)
        answer.problem(405, "method_not_allowed")
        allowed = {name.strip() for name in answer.header("allow").split(",")}
        equal(f"{answer.asked}: whether Allow names {known}", True, known in allowed)


@refusals.check(RENDER)
def nothing_to_render(server: Server) -> None:
    """The empty state has no render."""
    state = server.fresh_state()
    server.ask("PUT", f"/v1/states/{state}").expect(201)
    for call in RENDERS:
        server.get(f"/v1/states/{state}/{call}").problem(409, "nothing_to_render")


@refusals.check(RENDER)
def ambiguous_classes(server: Server) -> None:
    """Several classes must be told apart by name; one that is not there is not found."""
    one, other = server.fresh(num_layers=1), server.fresh(num_layers=2)
    state = server.holding(one, other)
    absent = plan_of([server.fresh(num_layers=3)]).class_id
    for call in RENDERS:
        problem = server.get(f"/v1/states/{state}/{call}").problem(409, "ambiguous_class")
        expected = sorted(str(plan_of([f]).class_id) for f in (one, other))
        named = problem["details"].get("classes")
        equal(f"GET .../{call}: classes in the details", expected, named)
        path = f"/v1/states/{state}/{call}"
        server.ask("GET", path, params={"class": str(absent)}).problem(404, "class_not_found")


@refusals.check(RENDER)
def missing_prefixes(server: Server) -> None:
    """Fragments are not rendered before their prefix comes; without tokens they are taken."""
    prefix = server.fresh(seq_len=2)
    behind = server.fresh(start=2, prefix=prefix.fragment_id)
    state = server.fresh_state()
    pushed = server.push(state, behind)
    if server.sends_token and pushed.status == 409:
        # Whoever reads the state will be given the prefix: it may not be the caller's to give.
        pushed.problem(409, "prefix_missing")
        server.holding(prefix)
        server.push(state, behind).expect(201)
    else:
        pushed.expect(201)
        for call in RENDERS:
            server.get(f"/v1/states/{state}/{call}").problem(409, "prefix_missing")
        server.holding(prefix)
    for call in RENDERS:
        server.get(f"/v1/states/{state}/{call}").expect(200)


@refusals.check(RENDER)
def orders(server: Server) -> None:
    """``order=`` may name members only, of one class, each once."""
    one, other, stranger = server.fresh(), server.fresh(num_layers=1), server.fresh()
    state = server.holding(one, other)
    server.holding(stranger)
    for call in RENDERS:
        for order, status, code in (
            ((one, stranger), 404, "fragment_not_found"),
            ((one, other), 409, "incompatible_fragments"),
            ((one, one), 400, "invalid_request"),
        ):
            params = {"order": ",".join(str(f.fragment_id) for f in order)}
            server.ask("GET", f"/v1/states/{state}/{call}", params=params).problem(status, code)


@refusals.check(RENDER)
def queries(server: Server) -> None:
    """A query that means nothing, or says a thing twice, is never passed over."""
    state = server.holding(server.fresh())
    for call in RENDERS:
        for query in WRONG_QUERIES:
            server.get(f"/v1/states/{state}/{call}?{query}").problem(400, "invalid_request")
        path = f"/v1/states/{state}/{call}?layers=1:9"
        server.get(path).problem(416, "range_not_satisfiable")


@refusals.check("RFC 9110 section 11.6.1")
def tokens(server: Server) -> None:
    """A server that needs a token, as one given one here, says so to whoever has none."""
    if not server.sends_token:
        return
    state = server.holding(fragment := server.fresh())
    for method, path in (
        ("GET", "/v1/states"),
        ("GET", f"/v1/states/{state}"),
        ("GET", f"/v1/fragments/{fragment.fragment_id}"),
        ("PUT", f"/v1/states/{state}"),
    ):
        answer = server.ask(method, path, anonymous=True)
        answer.problem(401, "unauthorized")
        scheme = answer.header("www-authenticate").partition(" ")[0].lower()
        equal(f"{answer.asked}: the scheme of WWW-Authenticate", "bearer", scheme)
