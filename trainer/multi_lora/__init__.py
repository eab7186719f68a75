"""Several LoRA fine-tunes of one frozen base trained together on a CPU: one copy of the weights, passes shared by runs.

**A pass**, here of run A's rows 1 and 2, which begin with the same system prompt, and run B's row 3. It has t tokens,
1,024 at most; h is the base's width, w a head's, r an adapter's rank. Each core computes passes of its own.

    rows          A1 = system prompt, question, answer     A2 = system prompt, question, answer     B3
                     │ packing: end to end, no padding; what A's rows begin with is computed once
    ids (t,)      │ system prompt │ A1 from there on │ A2 from there on │ B3        │
    segments      │ 0             │ 1, sees 0        │ 2, sees 0        │ 3         │      what attention goes by
    adapters      │───────────────────── A ─────────────────────────────│──── B ────│      what LoRA goes by
                     │ embedding
    hidden (t, h) ◄──┴──────────────────────────────────────────────────────────┐
      rms_norm    (t, h)        keeps x and one number a token                   │
      q, k, v     (t, heads·w)  one frozen product for all tokens; each adapter  │ a layer,
                                adds s (x Aᵀ) Bᵀ to its own: x Aᵀ is (own, 3 r)  │ × layers
      rope, causal softmax, v   (heads, own, seen), segment by segment           │
      o           (t, h)        + hidden                                         │
      rms_norm, gate, up (t, inner), swiglu, down (t, h)   + hidden ─────────────┘
      rms_norm
      cross_entropy             the head sees only positions before an answer token, 128 at a time: (128, vocabulary),
                                which become the gradient with respect to hidden in the same loop
    loss          of each run: the mean over the answer tokens of its own step, whatever else is in the pass
    backward      the same way up; gradients of A (r, in) and B (out, r) are added in fp32 to one flat tensor a run (one
                  for each core that computes rows of it, added up in a fixed order); then each run clips and takes its
                  own AdamW step

Neither the cut into passes nor the neighbours change what a run learns: its curve is its own up to the order of sums,
and the same bit for bit when a killed training goes on.

**What is ours and why.** Beside the matrix products, which torch does, most of a step of a small model on a CPU goes
into padding, logits of prompt tokens, fp32 copies, casts and operations that read and write whole tensors. So rows lie
end to end; the head is left out where nothing is learned; adapters, norms, SwiGLU, rotary embedding, softmax and
cross-entropy have hand-written backward passes over compiled loops (`kernels`), each one pass over memory, computed in
fp32 and rounded once. Every part is tried on random input against the layer that it replaces, which stays where it
computes otherwise. Batching several adapters into one product gains nothing by itself: a variant costs what it costs.

**What TRL does instead**: one run a process, rows padded or packed into one sequence under PEFT, which computes an
adapter as eight products and casts a layer. Five variants (ranks 4 to 64) of SmolLM2-135M on 2 vCPUs with AMX: 578 and
585 tokens a second here, 117 to 139 by the best-tuned TRL and 85 by its defaults; 100 steps of the sweep 4.6 to 4.7 and
6.2 to 7.2 times as fast, in a quarter of the memory of five processes; final losses at most 0.004 nats apart
(docs/benchmarks.md). TRL trains what is left: GPUs, full fine-tuning, quantized bases, DoRA (`why_alone` says which).

**Inside**, from the top: `loop` (steps, validation, checkpoints, an orderly stop), `model` (passes of a step over the
cores), `assembly` (the base's parts exchanged), `packing`, `run_state`, `linear` and `weights` (adapters),
`attention` and `short_attention`, `rms_norm`, `swiglu`, `cross_entropy`, `segments`, `kernels`. This is the door:
nothing outside imports what is inside; its names are in `__init__.pyi`, each loaded when first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
