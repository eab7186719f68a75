"""A frozen base with its parts exchanged: linear layers that take adapters, and our attention, norms and gates.

What is exchanged computes the same, tried on random input; what would not (Gemma's norms, other activations) stays.
"""

from __future__ import annotations

from torch import nn

from trainer.bases.devices import keep_freed_memory
from trainer.multi_lora.attention import use_segment_attention
from trainer.multi_lora.linear import AdapterRouting, route_adapters
from trainer.multi_lora.rms_norm import replace_rms_norms
from trainer.multi_lora.short_attention import use_short_attention
from trainer.multi_lora.swiglu import replace_swiglus


def assembled(model: nn.Module) -> AdapterRouting:
    """Freeze a transformers model and exchange its parts in place, and let the process keep the memory that it frees.

    Afterwards every call of the model needs `segments=`. Returns what says which tokens take which adapter.
    """
    keep_freed_memory()
    routing = route_adapters(model)
    use_segment_attention(model)
    use_short_attention(model)
    replace_rms_norms(model)
    replace_swiglus(model)
    return routing
