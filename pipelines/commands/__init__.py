"""The commands that have commands of their own below them: one module for each."""
