"""How the next token is drawn where an engine gives its logits: the one meaning of temperature, top_p and seed."""

from __future__ import annotations

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
    weights = torch.softmax(logits.float().cpu() / sampling.temperature, -1)
    ordered, ids = weights.sort(descending=True, stable=True)
    sums = ordered.cumsum(0)
    if sampling.top_p < 1:
        count = int((sums < sampling.top_p).sum()) + 1
        sums = sums[:count]
    place = torch.rand((), generator=generator) * sums[-1]
    return int(ids[min(int((sums <= place).sum()), len(sums) - 1)])
