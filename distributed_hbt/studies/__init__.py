"""Studies: a matrix of runs that answers one question."""
