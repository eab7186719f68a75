"""What a task needs of the machine that it runs on, what the machines of a cluster have, and what of it is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engines import Place
from trainer.bases.devices import choose
from trainer.data.examples import PreparedData
from trainer.experiment.variants import Variant
from trainer.planning.estimates import memory
from trainer.planning.shapes import base_shape

MOST_GPU_CORES = 8
"""Cores beside a GPU: tokens are ready by then, and more would wait."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, with what Ray may give away there."""

    id: str
    host: str
    cores: float
    gpus: float
    memory_bytes: float


@dataclass(frozen=True)
class Demand:
    """What one task takes from one node while it runs."""

    cores: int
    """Also torch's threads."""
    gpus: int
    memory_bytes: int
    """A share of the node's memory; 0 beside a GPU, whose own memory is found out by trying."""

    def fits(self, node: Node) -> bool:
        """Whether the node could ever run it."""
        return node.cores >= self.cores and node.gpus >= self.gpus and node.memory_bytes >= self.memory_bytes

    @property
    def words(self) -> str:
        """E.g. 2 cores and 3.1 GB of memory on one node."""
        gpu = [f"{self.gpus} GPU"] if self.gpus else []
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        held = [f"{self.memory_bytes / 1e9:.1f} GB of memory"] if self.memory_bytes else []
        return f"{' and '.join([*gpu, cores, *held])} on one node"


def cores_for(nodes: Sequence[Node], threads: int) -> int:
    """Cores of a task on CPUs: the threads that torch uses here, which decide the order of sums, or the largest node's.

    threads: torch's in this process.
    """
    return max(1, min(threads, int(max((node.cores for node in nodes), default=1))))


def cores_beside_a_gpu(nodes: Sequence[Node]) -> int:
    """Cores of a task with a GPU: what every node with GPUs has for each of them."""
    shares = [int(node.cores // node.gpus) for node in nodes if node.gpus >= 1]
    return max(1, min([MOST_GPU_CORES, *shares]))


def demand_of(group: Sequence[Variant], data: PreparedData, nodes: Sequence[Node], cores: int, on_gpu: bool) -> Demand:
    """The demand of variants that one task trains, by what `bakeoff plan` estimates.

    Raises: BaseUnavailable.
    """
    if on_gpu:
        return Demand(cores, 1, 0)
    own, shape = group[0].experiment, base_shape(group[0].base)
    lengths = sorted(len(example.input_ids) for example in data.train)
    long_row = lengths[int(0.95 * (len(lengths) - 1))]
    dtype = choose(own.training.dtype, "cpu", own.training.quantization).dtype
    most = max((node.memory_bytes for node in nodes), default=0.0)
    place = Place("a node's CPU", "cpu", most, dtype, flops=1.0, bytes_per_second=1.0, cores=cores, triton=False)
    needed = max(
        memory(shape, one.experiment.training, one.experiment.lora, long_row, len(group), place).total for one in group
    )
    return Demand(cores, 0, int(needed))


def missing(names: str, demand: Demand, nodes: Sequence[Node]) -> str:
    """Say in a line what the runs of these names need together that no node has; "" where one has it."""
    if any(demand.fits(node) for node in nodes):
        return ""
    has = Counter(f"{node.cores:g} cores, {node.gpus:g} GPUs and {node.memory_bytes / 1e9:.1f} GB" for node in nodes)
    listed = "; ".join(f"{count} node{'s' if count > 1 else ''} with {words}" for words, count in has.most_common(4))
    return (
        f"{names} need{'' if ', ' in names else 's'} {demand.words}, and the cluster has "
        f"{listed or 'no node left'}: add such a node and give the same command again, or make the runs smaller "
        "(bakeoff plan says how)"
    )
