"""The data sets that dlkit knows by name."""
