"""Checkpoints of a training: written beside the steps, verified, kept by rules, and gone on from."""
