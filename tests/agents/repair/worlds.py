"""Small worlds to repair: a model, fragments of it, their plan, and what a prefill of all gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout, RenderPlan
from latentcrdt.core.rendered import Render
from latentcrdt.hf import capture, fragment_from_cache
from latentcrdt.hf.layers import new_cache
from latentcrdt.hf.prefill import evaluation, fill, prefill
from latentcrdt.render.stream import render
from tests.hf.oracle import Layer, layers_of, layers_of_cache, plain_prefill

PREFIX = [7, 8, 9, 10]
PARTS = ([5, 17, 40, 3, 88, 61, 29, 70, 12], [9, 33, 20, 71, 6, 54], [2, 80, 41, 19, 66, 23, 50])


@dataclass(frozen=True)
class World:
    model: PreTrainedModel
    plan: RenderPlan
    fragments: dict[FragmentId, Fragment]
    token_ids: list[int]
    """Of the whole sequence, prefixes included."""

    @property
    def render(self) -> Render:
        return render(self.plan, self.fragments)

    def dense(self, fragment: Fragment) -> list[Layer]:
        """What a prefill of everything has where a derived fragment has its rows."""
        layers = layers_of_cache(plain_prefill(self.model, self.token_ids))
        counts = [s.rows(fragment.header.seq_len) for s in fragment.header.geometry.layers]
        return [(k[:, -n:], v[:, -n:]) for (k, v), n in zip(layers, counts, strict=True)]

    def unrepaired(self) -> list[Layer]:
        """The render's rows behind the prefixes."""
        count = self.plan.next_position - self.plan.base
        specs = self.plan.geometry.layers
        rows = [min(spec.rows(count), spec.rows(self.plan.num_tokens)) for spec in specs]
        return [
            (k[:, -n:], v[:, -n:]) for (k, v), n in zip(layers_of(self.render), rows, strict=True)
        ]


def make_world(
    model: PreTrainedModel,
    parts: Sequence[Sequence[int]] = PARTS,
    *,
    prefixes: Sequence[Sequence[int]] = (),
    layout: Layout = Layout.SEQUENTIAL,
) -> World:
    chain: list[Fragment] = []
    for prefix in prefixes:
        chain.append(capture(model, None, prefix, prefix=chain or None))
    captured = [capture(model, None, part, prefix=chain or None) for part in parts]
    return world_of(model, captured, chain, layout=layout)


def world_of(
    model: PreTrainedModel,
    captured: Sequence[Fragment],
    chain: Sequence[Fragment] = (),
    *,
    layout: Layout = Layout.SEQUENTIAL,
) -> World:
    plan = place([f.header for f in captured], [p.header for p in chain], layout=layout)
    everything = [*chain, *captured]
    token_ids = [i for f in everything for i in f.header.token_ids or ()]
    return World(model, plan, {f.fragment_id: f for f in everything}, token_ids)


def capture_latent(model: PreTrainedModel, token_ids: Sequence[int], steps: int) -> Fragment:
    """A fragment of prompt and latent rows, each fed the last hidden state scaled to unit size."""
    cache = new_cache(model)
    prefill(model, token_ids[:-1], position=0, cache=cache)
    inputs, embeddings = {"input_ids": torch.tensor([[token_ids[-1]]])}, []
    for position in range(len(token_ids) - 1, len(token_ids) + steps):
        with evaluation(model):
            answer = model.base_model(
                **inputs,
                position_ids=torch.tensor([[position]]),
                past_key_values=cache,
                use_cache=True,
            )
        if position == len(token_ids) + steps - 1:
            break
        embeddings.append(answer.last_hidden_state[:, -1:] / 8)
        inputs = {"inputs_embeds": embeddings[-1]}
    rows = torch.cat(embeddings)[:, 0]
    return fragment_from_cache(
        cache,
        model,
        start=0,
        seq_len=len(token_ids) + steps,
        token_ids=[*token_ids, *[-1] * steps],
        latent_inputs=(rows.shape[1], rows.numpy().tobytes()),
    )


def dense_with_latents(model: PreTrainedModel, captured: Sequence[Fragment]) -> list[Layer]:
    """A prefill of everything, latent rows as the embeddings that they were fed."""
    embed = model.get_input_embeddings()
    parts = []
    for fragment in captured:
        header = fragment.header
        ids = torch.tensor(header.token_ids)
        rows = embed(ids.clamp_min(0)).detach().clone()
        if header.latent_inputs is not None:
            section = bytearray(fragment.section(header.sections[-1]))
            latent = torch.frombuffer(section, dtype=torch.float32)
            rows[ids == -1] = latent.reshape(-1, header.latent_inputs.width)
        parts.append(rows)
    joined = torch.cat(parts)[None]
    cache = new_cache(model)
    positions = torch.arange(joined.shape[1])[None]
    fill(model, cache, inputs_embeds=joined, position_ids=positions)
    return layers_of_cache(cache)
