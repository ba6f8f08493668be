"""dlkit: learning from images, one technique a plugin, one interface for all."""

__version__ = "0.1.0"
