"""Hybrid-batch training, evaluation and comparison of multilingual dense retrievers."""

__version__ = "0.1.0"
