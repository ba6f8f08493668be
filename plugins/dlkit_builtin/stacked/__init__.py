"""Greedy layer-wise training, then labels."""
