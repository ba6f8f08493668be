"""TensorBoard, a logger for dlkit."""
