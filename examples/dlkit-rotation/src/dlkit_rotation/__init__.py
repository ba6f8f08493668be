"""Rotation prediction, a technique for dlkit."""
