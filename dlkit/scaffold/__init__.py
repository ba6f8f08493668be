"""New plugin packages, written from templates: ``dlkit plugins new``."""
