from __future__ import annotations

import json

import pytest

from latentcrdt.client import calls
from latentcrdt.client.answers import Answer
from latentcrdt.client.pushed_body import SLICE_BYTES, FragmentBody, open_fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import MalformedError, TruncatedError, UnexpectedAnswerError
from latentcrdt.testing.fragments import make_fragment, make_geometry

NAME = StateName("task-42")
ID = make_fragment(1).fragment_id


def answer(document: object) -> Answer:
    return Answer(200, {}, json.dumps(document).encode())


def listing(*ids: FragmentId, root: str | None = None) -> dict[str, object]:
    member = {
        "class_id": "0" * 64,
        "model_id": "m",
        "dtype": "bf16",
        "num_layers": 3,
        "start": 0,
        "seq_len": 5,
        "num_latent_rows": 0,
        "prefix": None,
        "body_bytes": 10,
        "key": 0.5,
        "key_hex": (0.5).hex(),
    }
    members = [{**member, "id": str(i)} for i in ids]
    return {"name": NAME, "root": root or str(LatentState(ids).root), "members": members}


def test_a_listing_is_read_into_values():
    state = calls.state(NAME).read(answer(listing(ID)))
    (member,) = state.members
    assert (member.fragment_id, member.sort_key, member.prefix) == (ID, 0.5, None)


@pytest.mark.parametrize(
    "document",
    [
        listing(ID, root=str(LatentState().root)),
        listing(ID, ID),
        {**listing(ID), "members": None},
        {"members": []},
        [],
        None,
        {**listing(), "root": 7},
        {**listing(), "members": [{"id": "xyz"}]},
    ],
)
def test_a_listing_that_cannot_be_true_is_an_unexpected_answer(document):
    with pytest.raises(UnexpectedAnswerError):
        calls.state(NAME).read(answer(document))


def test_states_are_read_into_values():
    document = {"states": [{"name": "a", "root": str(LatentState().root), "fragments": 0}]}
    (summary,) = calls.states().read(answer(document))
    assert (summary.name, summary.root, summary.num_fragments) == ("a", LatentState().root, 0)


@pytest.mark.parametrize("value", [1, "true", None])
def test_created_must_be_a_boolean(value):
    with pytest.raises(UnexpectedAnswerError):
        calls.declare(NAME, None).read(answer({"created": value}))


def test_an_acknowledgement_of_another_fragment_is_refused():
    call = calls.push(NAME, FragmentBody(make_fragment(1)), on_invitation=False)
    other = {"id": str(make_fragment(2).fragment_id), "created": True}
    with pytest.raises(UnexpectedAnswerError, match=str(ID)):
        call.read(answer(other))


def test_only_ids_that_were_asked_for_can_be_missing():
    with pytest.raises(UnexpectedAnswerError):
        calls.missing([ID]).read(answer({"missing": ["0" * 64]}))


def test_a_body_is_the_fragment_file_in_slices_each_time_it_is_sent():
    fragment = make_fragment(1, geometry=make_geometry(head_dim=64), seq_len=2000)
    done: list[tuple[int, int]] = []
    body = FragmentBody(fragment, lambda *args: done.append(args))
    first, second = b"".join(body), b"".join(body)
    assert first == second == fragment.to_bytes()
    assert body.num_bytes == len(first)
    assert max(map(len, body)) == SLICE_BYTES
    assert done == sorted(set(done))
    assert done[-1] == (len(first), len(first))


def test_a_body_shares_the_memory_of_its_fragment():
    fragment = make_fragment(1)
    pieces = list(FragmentBody(fragment))
    assert all(piece.obj is fragment.body.obj for piece in pieces[1:])


def test_a_file_is_opened_without_hashing_its_sections(tmp_path):
    fragment = make_fragment(1)
    data = bytearray(fragment.to_bytes())
    data[-1] ^= 1
    (tmp_path / "f").write_bytes(data)
    assert open_fragment(tmp_path / "f").fragment_id == fragment.fragment_id


def test_a_file_that_is_no_fragment_is_refused(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello, this is no fragment")
    with pytest.raises(TruncatedError):
        open_fragment(tmp_path / "empty")
    with pytest.raises(MalformedError):
        open_fragment(str(tmp_path / "text"))
