"""Flicker bands, an augmenter for dlkit."""
