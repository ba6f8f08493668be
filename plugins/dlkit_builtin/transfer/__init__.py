"""Transfer learning: a pretrained backbone, reused."""
