"""The commands that explain: why a network trains, or does not."""
