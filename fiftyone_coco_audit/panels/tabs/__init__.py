"""The tabs of the panel, each a function from what was read to what is shown."""
