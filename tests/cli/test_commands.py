"""The subcommands that talk to a server, against a real one."""

from __future__ import annotations

import json

import pytest

from latentcrdt import Client
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.rendered import Render
from latentcrdt.core.state import LatentState
from latentcrdt.testing.fragments import make_fragment, make_geometry

PAIR = [make_fragment(seed, seq_len=40 + seed) for seed in (1, 2)]


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.lcf", tmp_path / "b.lcf"]
    for path, fragment in zip(paths, PAIR, strict=True):
        path.write_bytes(fragment.to_bytes())
    return paths


@pytest.fixture
def pushed(run, name, files):
    result = run("push", name, *files)
    assert result.exit_code == 0, result.output
    return name


def test_push_says_of_each_file_what_became_of_it(run, name, files):
    first, second = run("push", name, *files), run("push", name, *files)
    for fragment, line in zip(PAIR, first.stdout.splitlines(), strict=True):
        assert line.startswith(str(fragment.fragment_id))
        assert "added" in line
    assert second.stdout.count("was there already") == 2


def test_push_as_json_is_one_document(run, name, files):
    document = json.loads(run("push", name, *files, "--json").stdout)
    assert [entry["id"] for entry in document] == [str(f.fragment_id) for f in PAIR]
    assert [entry["created"] for entry in document] == [True, True]


def test_ls_lists_states_with_their_roots(run, pushed):
    root = str(LatentState(f.fragment_id for f in PAIR).root)
    line = next(row for row in run("ls").stdout.splitlines() if pushed in row)
    assert line.split() == [pushed, "2", root]
    entry = next(e for e in json.loads(run("ls", "--json").stdout) if e["name"] == pushed)
    assert entry == {"name": pushed, "root": root, "fragments": 2}


def test_ls_of_a_state_lists_its_members_in_render_order(run, server, pushed):
    with Client(server) as client:
        order = [p["id"] for p in client.plan(pushed)["fragments"]]
    output = run("ls", pushed).stdout
    assert [line.split()[0] for line in output.splitlines() if line[:64] in order] == order
    document = json.loads(run("ls", pushed, "--json").stdout)
    assert {m["id"] for m in document["members"]} == set(order)
    assert all(float.fromhex(m["key_hex"]) == m["key"] for m in document["members"])


def test_ls_names_the_classes_when_there_are_several(run, server, name):
    with Client(server) as client:
        client.push(name, PAIR[0])
        client.push(name, make_fragment(1, geometry=make_geometry(model_id="other@1")))
        classes = {str(m.class_id) for m in client.state(name).members}
    output = run("ls", name).stdout
    assert all(f"{c}  1 fragments" in output for c in classes)


def test_render_writes_the_same_file_wherever_it_is_made(run, server, pushed, tmp_path):
    there, here, receipt = (tmp_path / n for n in ("there", "here", "receipt.json"))
    first = run("render", pushed, "-o", there, "--receipt", receipt)
    second = run("render", pushed, "-o", here, "--where", "client", "--json")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert there.read_bytes() == here.read_bytes()
    rendered = Render.from_buffer(there.read_bytes())
    assert str(rendered.plan.render_id) in first.stdout
    document = json.loads(second.stdout)
    assert document["digest"] == str(rendered.digest)
    assert json.loads(receipt.read_text())["plan"]["render_id"] == document["render_id"]


def test_render_takes_every_choice_of_a_query(run, server, pushed, tmp_path):
    out = tmp_path / "out"
    with Client(server) as client:
        class_id = client.state(pushed).members[0].class_id
    order = ",".join(str(f.fragment_id) for f in PAIR[::-1])
    options = ["--layout", "slotted", "--stride", 50, "--order", order, "--layers", "0:2"]
    result = run("render", pushed, "-o", out, *options, "--class", class_id)
    assert result.exit_code == 0, result.output
    plan = Render.from_buffer(out.read_bytes()).plan
    assert [p.fragment_id for p in plan.placements] == [f.fragment_id for f in PAIR[::-1]]
    assert [p.new_start for p in plan.placements] == [0, 50]
    assert (plan.layers.first, plan.layers.stop) == (0, 2)


def test_fetch_writes_the_fragment(run, pushed, tmp_path):
    out = tmp_path / "out"
    result = run("fetch", PAIR[0].fragment_id, "-o", out, "--json")
    assert json.loads(result.stdout)["seq_len"] == PAIR[0].header.seq_len
    assert Fragment.from_buffer(out.read_bytes()).fragment_id == PAIR[0].fragment_id


def test_an_error_of_the_server_is_one_line_with_its_code(run, name, tmp_path):
    for command in (("ls", name), ("render", name, "-o", tmp_path / "x")):
        result = run(*command)
        assert result.exit_code == 1
        assert result.stdout == ""
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith("error [state_not_found]")
        assert name in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("ls", "Not A Name"),
        ("fetch", "xyz", "-o", "out"),
        ("fetch", "0" * 64),
        ("render", "s", "-o", "x", "--layout", "spiral"),
        ("render", "s", "-o", "x", "--order", "a,b"),
        ("render", "s", "-o", "x", "--class", "a"),
        ("push", "s", "no-such-file"),
        ("nonsense",),
        ("ls", "--no-such-option"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_asks_nobody(run, command):
    result = run(*command)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_file_that_is_no_fragment_is_not_pushed(run, name, tmp_path):
    path = tmp_path / "text"
    path.write_text("this is a text, not a fragment")
    result = run("push", name, path)
    assert result.exit_code == 1
    assert "error [malformed]" in result.stderr


def test_an_output_that_cannot_be_written_is_one_line(run, pushed, tmp_path):
    result = run("fetch", PAIR[0].fragment_id, "-o", tmp_path / "no" / "such" / "folder")
    assert result.exit_code == 1
    assert "error [file]" in result.stderr
    assert "No such file or directory" in result.stderr
