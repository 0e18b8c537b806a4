"""Training: the one trainer of the recipe and of all recovery."""
