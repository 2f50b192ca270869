"""One module a subcommand of `hbt`: its arguments, and what it runs."""
