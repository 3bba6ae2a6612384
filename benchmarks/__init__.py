"""Side by side with the peers: same input, one run."""
