"""How the next token is drawn where an engine gives its logits: the one meaning of temperature, top_p and seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from engines.interface import Sampling


def generator_of(sampling: Sampling) -> torch.Generator | None:
    """The random numbers of one answer, from its seed or fresh; None where the answer is greedy."""
    if sampling.temperature == 0:
        return None
    generator = torch.Generator()
    generator.manual_seed(sampling.seed if sampling.seed is not None else torch.seed() % 2**63)
    return generator


def draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token id from (vocabulary,) logits by temperature and nucleus, with the answer's own generator."""
    return int(draw_rows(logits[None], [sampling], [generator])[0])


def draw_rows(
    logits: torch.Tensor, samplings: Sequence[Sampling], generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """logits (rows, vocabulary) -> token ids (rows,), drawn where the logits are, each row by its own numbers.

    A row gets one random number of its own generator, on the CPU, so neither the batch nor the device changes a draw.
    """
    device = logits.device
    temperatures = torch.tensor([one.temperature for one in samplings], device=device)[:, None]
    nuclei = torch.tensor([one.top_p if one.top_p < 1 else math.inf for one in samplings], device=device)[:, None]
    numbers = torch.stack([torch.rand((), generator=generator) for generator in generators]).to(device)[:, None]
    ordered, ids = torch.softmax(logits.float() / temperatures, -1).sort(descending=True, stable=True)
    sums = ordered.cumsum(-1)
    last = (sums < nuclei).sum(-1, keepdim=True).clamp_(max=sums.shape[-1] - 1)
    places = (sums <= numbers * sums.gather(-1, last)).sum(-1, keepdim=True)
    return ids.gather(-1, torch.minimum(places, last))[:, 0]
