"""`hbt demo`: the embedded default, end to end."""
