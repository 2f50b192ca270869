"""Evaluation cut into jobs, which any worker may do: each makes one file from what it names, nothing else."""
