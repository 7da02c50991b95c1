"""What hides in a classifier: planting it, finding it, taking it out.

    Adapter ──classifiers.from_adapter──> Classifier ──search──> what looks like a trigger
    examples ─classifiers.samples_of───> Samples ────┤
                                                     ├─defence──> Classifier without it
    planting: Attack ──on twins and in the zoo───────┘ shows what search and defence can do

Everything here works on torch modules and tensors and imports torch.
"""
