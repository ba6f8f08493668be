"""Decompositions of scikit-learn with the interface of every technique."""
