"""The whole dataset read as training reads it: what fails, and what is slow."""
