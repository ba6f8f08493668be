"""Boltzmann machines: RBM and deep belief network."""
