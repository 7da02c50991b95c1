"""Weights that are few trained numbers: what ``extract --train`` trains (spec: trained.md).

tensors, ratio ──budget──> a plan: numbers and bits of each tensor         (nothing of torch)
plan ──virtual──> numbers, parameters of torch ──> weights of the model, as the codec decodes
                      ↑ Adam                          │
data, original ──distilling: both answer alike? ──────┘    checkpoints: written and resumed
numbers ──export──> chunks, which decode to the very bits that were trained
"""
