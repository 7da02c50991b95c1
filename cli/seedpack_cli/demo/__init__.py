"""The whole story on real data, in under two minutes: ``seedpack demo``.

digits --network: train--> state dict --extract--> seed --sign, verify--> Seed
seed --attacks: six of them--> refusals, each with its reason
seed --damage a fifth--> repair --> the same bytes
Seed --assemble--> weights --network: evaluate--> accuracy beside its controls
state dict --training--> seed of a hundredth of the size --> accuracy beside its controls
"""
