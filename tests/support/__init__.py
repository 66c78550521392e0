"""Real servers and other tools that tests use."""
