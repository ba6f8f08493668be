"""Which augmentations help on this data."""
