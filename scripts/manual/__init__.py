"""Manual pages and shell completion, made from the command lines themselves."""
