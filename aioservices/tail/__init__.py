"""Following a log: nothing lost, nothing repeated."""
