"""What a run will take, before it starts: memory, time, cost; from its configuration alone."""
