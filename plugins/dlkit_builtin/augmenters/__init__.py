"""Ways of varying images: geometry, noise, blur, colour, tone, occlusion, resolution, conditions, pairs, policies."""
