"""Servers that render something else than what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout, RenderPlan, RowRun
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.rendered import Render
from latentcrdt.render.stream import render
from tests.conformance.faulty import FaultyServer, Request, Response
from tests.conformance.wrong_servers.catalogue import Catalogue

renders = Catalogue()


def ordered_by(server: FaultyServer, key: object) -> None:
    """Make the server order fragments by ``key(sort key, id)``."""

    def order(keys: object) -> list[FragmentId]:
        return [i for _, i in sorted(keys, key=key)]  # type: ignore[call-overload]

    server.patch.setattr("latentcrdt.replication.replica.canonical_order", order)


def change_bodies(server: FaultyServer, change: object) -> None:
    """Make the server send another body under the right plan."""

    def chunks(
        plan: RenderPlan, *, start: int = 0, stop: int | None = None
    ) -> Iterator[memoryview]:
        held = server.replica.fragments_of(plan)
        stream = plan.framing + bytes(change(plan, held).body)  # type: ignore[operator]
        yield memoryview(stream[start:stop])

    server.patch.setattr(server.replica, "render_chunks", chunks)


def change_queries(server: FaultyServer, **choices: object) -> None:
    """Make the server read every query with these choices."""
    plan = server.replica.plan

    def planned(name: StateName, query: RenderQuery) -> RenderPlan:
        return plan(name, replace(query, **choices))

    server.patch.setattr(server.replica, "plan", planned)


@renders.fault("renders/canonical-bf16")
def keys_are_not_turned(server: FaultyServer) -> None:
    def unturned(plan: RenderPlan, held: dict) -> Render:
        still = [replace(p, start=p.new_start) for p in plan.placements]
        return render(replace(plan, placements=tuple(still)), held)

    change_bodies(server, unturned)


@renders.fault("renders/canonical-bf16")
def fragments_come_in_the_order_of_their_ids(server: FaultyServer) -> None:
    ordered_by(server, lambda entry: entry[1])


@renders.fault("renders/canonical-f16")
def fragments_come_in_descending_order_of_keys(server: FaultyServer) -> None:
    ordered_by(server, lambda entry: (-entry[0], entry[1]))


@renders.fault("renders/canonical-f32")
def keys_turn_by_float32_tables(server: FaultyServer) -> None:
    """As transformers does it: angle, cosine and product in float32, each rounded once more."""

    def turned(plan: RenderPlan, held: dict) -> Render:
        body = bytearray(render(plan, held).body)
        if plan.geometry.dtype is not Dtype.F32:
            return Render(plan, memoryview(body))
        offset = 0
        for layer, spec in enumerate(plan.geometry.layers):
            rope, rows = plan.geometry.rope_of(layer), plan.num_rows(layer)
            size = plan.keys_bytes(layer)
            if rope is not None and spec.window is None and not plan.prefixes:
                out = np.frombuffer(body, "<f4", size // 4, offset)
                out = out.reshape(spec.num_kv_heads, rows, spec.key_dim)
                at = 0
                for p in plan.placements:
                    keys = np.frombuffer(held[p.fragment_id].keys(layer), "<f4")
                    keys = keys.reshape(spec.num_kv_heads, p.seq_len, spec.key_dim)
                    out[:, at : at + p.seq_len] = rotated(keys, rope, p.delta)
                    at += p.seq_len
            offset += size + plan.values_bytes(layer)
        return Render(plan, memoryview(body))

    def rotated(keys, rope, delta):
        half = rope.rotary_dim // 2
        angle = np.float32(delta) * np.array(rope.frequencies, np.float32)
        cos, sin = np.cos(angle), np.sin(angle)
        turned = keys.copy()
        if rope.style is RopeStyle.HALF:
            first, second = np.s_[..., :half], np.s_[..., half : 2 * half]
        else:
            first, second = np.s_[..., 0 : 2 * half : 2], np.s_[..., 1 : 2 * half : 2]
        turned[first] = keys[first] * cos - keys[second] * sin
        turned[second] = keys[second] * cos + keys[first] * sin
        return turned

    change_bodies(server, turned)


@renders.fault("renders/equal-keys")
def equal_keys_come_in_descending_order_of_ids(server: FaultyServer) -> None:
    ordered_by(server, lambda entry: (entry[0], [-byte for byte in entry[1]]))


@renders.fault("renders/layouts")
def every_layout_is_sequential(server: FaultyServer) -> None:
    change_queries(server, layout=Layout.SEQUENTIAL, stride=None)


@renders.fault("renders/chosen-order")
def a_chosen_order_is_canonical_all_the_same(server: FaultyServer) -> None:
    change_queries(server, order=None)


@renders.fault("renders/layer-ranges")
def every_render_has_all_layers(server: FaultyServer) -> None:
    change_queries(server, layers=None)


class KeepsTheFirstRows(RenderPlan):
    def runs(self, layer: int) -> list[RowRun]:
        spec = self.geometry.layers[layer]
        room = spec.rows(self.num_tokens)
        runs = []
        for placement in (*self.prefixes, *self.placements):
            section_rows = spec.rows(placement.seq_len)
            num_rows = min(section_rows, room)
            if num_rows:
                runs.append(RowRun(placement, 0, num_rows, section_rows))
            room -= num_rows
        return runs


@renders.fault("renders/sliding-layers")
def a_sliding_layer_keeps_its_first_rows(server: FaultyServer) -> None:
    plan = server.replica.plan

    def planned(name: StateName, query: RenderQuery) -> RenderPlan:
        right = plan(name, query)
        return KeepsTheFirstRows(**{f.name: getattr(right, f.name) for f in fields(right)})

    server.patch.setattr(server.replica, "plan", planned)


@renders.fault("renders/prefixes")
def prefixes_are_left_out(server: FaultyServer) -> None:
    plan = server.replica.plan

    def planned(name: StateName, query: RenderQuery) -> RenderPlan:
        return replace(plan(name, query), prefixes=())

    server.patch.setattr(server.replica, "plan", planned)


@renders.fault("renders/prefixes")
def a_prefix_is_a_contribution_of_its_own(server: FaultyServer) -> None:
    plan = server.replica.plan

    def planned(name: StateName, query: RenderQuery) -> RenderPlan:
        right = plan(name, query)
        if not right.prefixes:
            return right
        outer = server.replica.fragments.get(right.prefixes[0].fragment_id)
        return place([outer.header], layout=query.layout, stride=query.stride)

    server.patch.setattr(server.replica, "plan", planned)


@renders.fault("renders/classes")
def a_chosen_class_is_the_smallest_all_the_same(server: FaultyServer) -> None:
    plan = server.replica.plan

    def planned(name: StateName, query: RenderQuery) -> RenderPlan:
        members = server.replica.fragments.summaries(server.replica.state(name)).values()
        classes = {member.class_id for member in members}
        return plan(name, replace(query, class_id=min(classes)))

    server.patch.setattr(server.replica, "plan", planned)


@renders.answered("renders/plans")
def a_plan_counts_no_tokens_of_the_last_fragment(asked: Request, given: Response) -> None:
    if asked.path.endswith("/plan"):
        document = given.document
        document["next_position"] = document["fragments"][-1]["span"][0]
        given.document = document


@renders.answered("renders/receipts")
def a_receipt_has_a_key_that_is_nearly_right(asked: Request, given: Response) -> None:
    if asked.path.endswith("/receipt"):
        document = given.document
        first = document["keys"][0]
        first["key"] = float(np.nextafter(first["key"], np.inf))
        first["key_hex"] = first["key"].hex()
        given.document = document


@renders.answered("renders/receipts")
def a_receipt_has_the_digests_as_captured(asked: Request, given: Response) -> None:
    if asked.path.endswith("/receipt"):
        document = given.document
        for section in document["sections"]:
            section["keys"] = section["values"]
        given.document = document
