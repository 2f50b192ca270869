"""The Ray job of a run: training ranks, evaluation pool, what happens when a part of it is lost.

Only this part of the project imports Ray.
"""
