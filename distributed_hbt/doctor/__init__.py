"""What a machine and a cluster can do, and whether a run would work on them: one file a group of checks."""
