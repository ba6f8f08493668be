"""Ensembles: several trained runs that answer together."""
