"""Colorization: grey in, colour out."""
