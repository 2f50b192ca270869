"""Training on clusters whose nodes fail, by discrete events: how much of the time is progress.

Nothing here is part of a run; benchmarks/goodput.py drives it. Needs the extra `benchmarks` (simpy).
"""
