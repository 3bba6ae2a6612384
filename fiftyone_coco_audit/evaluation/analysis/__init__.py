"""What the matches of an evaluation say about a detector: pure functions."""
