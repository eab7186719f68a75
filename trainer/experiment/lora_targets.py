"""The linear layers that `lora.target` names by a word, by the names that transformers' architectures give them."""

from __future__ import annotations

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
MLP = ("gate_proj", "up_proj", "down_proj", "gate_up_proj")

TARGETS = {"attention": ATTENTION, "mlp": MLP}
"""The word in the experiment file → names of layers. `all-linear` is every linear layer but the vocabulary head."""
