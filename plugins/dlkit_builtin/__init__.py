"""The techniques that dlkit ships; they register and import as any stranger's plugin does."""
