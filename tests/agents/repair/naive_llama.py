"""A llama in float64 numpy, one query at a time, that attends by APE's formula in two parts."""

from __future__ import annotations

import math

import numpy as np
from transformers import PreTrainedModel

from tests.hf.oracle import Layer


def ape_attention(query, keys, values, *, context, temperature, scale):
    """Attend with one query ``[D]`` of one head: the context alone, the rest alone, then both.

    Each part is normalised by itself; their weights are a softmax of two log-sums, of which the
    context's, taken at the temperature, is multiplied by scale times temperature.
    """
    scores = keys @ query / math.sqrt(len(query))
    inside = np.zeros(len(scores), dtype=bool)
    inside[context] = True
    parts, log_sums = [], []
    for rows, divisor, factor in ((inside, temperature, scale * temperature), (~inside, 1.0, 1.0)):
        if not rows.any():
            continue
        exponentials = np.exp(scores[rows] / divisor)
        parts.append(exponentials @ values[rows] / exponentials.sum())
        log_sums.append(factor * math.log(exponentials.sum()))
    weights = np.exp(log_sums) / np.exp(log_sums).sum()
    return sum(weight * part for weight, part in zip(weights, parts, strict=True))


def next_logits(
    model: PreTrainedModel,
    layers: list[Layer],
    token_ids: list[int],
    *,
    position: int,
    context: slice,
    temperature: float,
    scale: float,
) -> np.ndarray:
    """Feed tokens one by one behind cached rows; return the logits ``[V]`` after the last."""
    weights = {n: p.detach().double().numpy() for n, p in model.state_dict().items()}
    config = model.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    dim = config.hidden_size // heads
    theta = config.rope_parameters["rope_theta"]
    rows = [(keys.copy(), values.copy()) for keys, values in layers]

    def norm(hidden, name):
        return weights[name] * hidden / np.sqrt((hidden**2).mean() + config.rms_norm_eps)

    def turn(x, at):  # [H, D]
        angles = at / theta ** (np.arange(0, dim, 2) / dim)
        a, b = x[:, : dim // 2], x[:, dim // 2 :]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], 1)

    hidden = np.zeros(config.hidden_size)
    for offset, token_id in enumerate(token_ids):
        hidden = weights["model.embed_tokens.weight"][token_id]
        for i in range(config.num_hidden_layers):
            at = f"model.layers.{i}."
            x = norm(hidden, at + "input_layernorm.weight")
            q, k, v = (
                (weights[f"{at}self_attn.{part}_proj.weight"] @ x).reshape(-1, dim)
                for part in "qkv"
            )
            q, k = turn(q, position + offset), turn(k, position + offset)
            keys = np.concatenate([rows[i][0], k[:, None]], 1)
            values = np.concatenate([rows[i][1], v[:, None]], 1)
            rows[i] = keys, values
            attended = [
                ape_attention(
                    q[h],
                    keys[h * kv_heads // heads],
                    values[h * kv_heads // heads],
                    context=context,
                    temperature=temperature,
                    scale=scale,
                )
                for h in range(heads)
            ]
            hidden = hidden + weights[at + "self_attn.o_proj.weight"] @ np.concatenate(attended)
            x = norm(hidden, at + "post_attention_layernorm.weight")
            gate, up = (weights[f"{at}mlp.{part}_proj.weight"] @ x for part in ("gate", "up"))
            hidden = hidden + weights[at + "mlp.down_proj.weight"] @ (
                gate / (1 + np.exp(-gate)) * up
            )
    return weights["lm_head.weight"] @ norm(hidden, "model.norm.weight")
