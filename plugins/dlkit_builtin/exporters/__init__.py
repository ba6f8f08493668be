"""The export formats that dlkit ships."""
