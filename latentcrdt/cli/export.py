"""``latentcrdt export``: a fragment or render as safetensors, for other frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from latentcrdt.cli.container_file import open_container
from latentcrdt.cli.options import JsonOption, OutputOption
from latentcrdt.cli.output import console, print_json
from latentcrdt.client.atomic_file import replacing
from latentcrdt.client.safetensors_file import NamedTensor, write_safetensors
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.rendered import Render

FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Fragment or render file."),
]


def export(file: FileArgument, output: OutputOption, as_json: JsonOption = False) -> None:
    """Write a fragment or render file as safetensors.

    Tensors: layers.N.keys and layers.N.values, each [heads, tokens, dimensions]. A fragment's
    digests are checked first.
    """
    content = open_container(file)
    if isinstance(content, Fragment):
        content.verify()
        tensors, metadata = list(_fragment_tensors(content)), _fragment_metadata(content)
    else:
        tensors, metadata = list(_render_tensors(content)), _render_metadata(content)
    with replacing(output) as target:
        write_safetensors(target, tensors, metadata)
    if as_json:
        names = [tensor.name for tensor in tensors]
        print_json({"file": str(output), "metadata": metadata, "tensors": names})
    else:
        console().print(f"{len(tensors)} tensors  {output}", markup=False)


def _fragment_tensors(fragment: Fragment) -> Iterator[NamedTensor]:
    header = fragment.header
    dtype = header.geometry.dtype
    for i, spec in enumerate(header.geometry.layers):
        shape = (spec.num_kv_heads, spec.rows(header.seq_len))
        keys, values = [fragment.keys(i)], [fragment.values(i)]
        yield NamedTensor(f"layers.{i}.keys", dtype, (*shape, spec.key_dim), keys)
        yield NamedTensor(f"layers.{i}.values", dtype, (*shape, spec.value_dim), values)
    if header.latent_inputs is not None:
        latent_shape = (header.num_latent_rows, header.latent_inputs.width)
        data = fragment.section(header.sections[-1])
        yield NamedTensor("latent_inputs", dtype, latent_shape, [data])


def _fragment_metadata(fragment: Fragment) -> dict[str, str]:
    header = fragment.header
    metadata = {
        "format": "latentcrdt.fragment",
        "fragment_id": str(fragment.fragment_id),
        "model_id": header.geometry.model_id,
        "start": str(header.start),
        "seq_len": str(header.seq_len),
    }
    if header.prefix is not None:
        metadata["prefix"] = str(header.prefix)
    if header.token_ids is not None:
        metadata["token_ids"] = ",".join(map(str, header.token_ids))
    return metadata


def _render_tensors(render: Render) -> Iterator[NamedTensor]:
    plan = render.plan
    dtype = plan.geometry.dtype
    for i in range(plan.layers.first, plan.layers.stop):
        spec = plan.geometry.layers[i]
        shape = (spec.num_kv_heads, plan.num_rows(i))
        yield NamedTensor(f"layers.{i}.keys", dtype, (*shape, spec.key_dim), [render.keys(i)])
        yield NamedTensor(f"layers.{i}.values", dtype, (*shape, spec.value_dim), [render.values(i)])


def _render_metadata(render: Render) -> dict[str, str]:
    plan = render.plan
    return {
        "format": "latentcrdt.render",
        "render_id": str(plan.render_id),
        "model_id": plan.geometry.model_id,
        "layout": str(plan.layout),
        "base": str(plan.base),
        "next_position": str(plan.next_position),
        "prefixes": ",".join(str(p.fragment_id) for p in plan.prefixes),
        "fragments": ",".join(str(p.fragment_id) for p in plan.placements),
        "deltas": ",".join(str(p.delta) for p in plan.placements),
    }
