"""How predictions were meant that do not fit the ground truth."""
