"""Learning from labels: figures beside their baselines, and pictures, for every technique that predicts."""
