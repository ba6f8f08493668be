"""Ways of varying images: geometry, noise, colour, occlusion."""
