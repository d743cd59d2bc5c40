"""What would take more than the API allows is refused, and what it allows is taken."""

from __future__ import annotations

from latentcrdt.client.calls import MAX_IDS_PER_CALL
from latentcrdt.core.container import MAX_HEADER_BYTES
from latentcrdt.core.encoding import digest
from latentcrdt.testing.conformance import forgeries
from latentcrdt.testing.conformance.check import Group
from latentcrdt.testing.conformance.expectations import equal
from latentcrdt.testing.conformance.server import Server

limits = Group("limits")


@limits.check("docs/format.md section 2")
def header_length(server: Server) -> None:
    """A file that says its header is longer than 16 MiB is too large, on its word."""
    for num_bytes in (MAX_HEADER_BYTES + 1, 2**32, 2**64 - 1):
        answer = server.push(server.fresh_state(), forgeries.with_header_length(num_bytes))
        answer.problem(413, "too_large")


@limits.check("OpenAPI: POST /v1/states/{state}/fragments")
def implied_length(server: Server) -> None:
    """A header that implies a body of 10^19 bytes is too large, however little of it is sent."""
    state = server.fresh_state()
    server.push(state, forgeries.with_absurd_sizes(server.fresh())).problem(413, "too_large")
    server.get(f"/v1/states/{state}").problem(404, "state_not_found")


@limits.check("OpenAPI: POST /v1/fragments/missing")
def number_of_ids(server: Server) -> None:
    """One question may name 10 000 ids, and no more."""
    salt = server.prefix.encode()
    ids = [digest(salt + n.to_bytes(4, "big")).hex() for n in range(MAX_IDS_PER_CALL + 1)]
    equal("missing of 10 000 ids that nobody has", MAX_IDS_PER_CALL, len(server.missing(ids[:-1])))
    server.ask_missing({"ids": ids}).problem(400, "invalid_request")


@limits.check("docs/format.md section 2")
def unknown_length(server: Server) -> None:
    """A body of no declared length is taken, in whatever pieces it comes."""
    fragment = server.fresh()
    data = fragment.to_bytes()
    state = server.fresh_state()
    pieces = [data[:7], data[7:100], data[100:]]
    answer = server.ask(
        "POST",
        f"/v1/states/{state}/fragments",
        headers={"content-type": "application/octet-stream"},
        body=pieces,
    )
    answer.expect(201).covers({"id": str(fragment.fragment_id)})
