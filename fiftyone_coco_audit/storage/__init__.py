"""Safe changes of a dataset that several processes use at the same time."""
