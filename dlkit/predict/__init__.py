"""Predictions: what a trained technique or an exported model says about images, written as files or text."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlkit.predict.inputs import collect_images
    from dlkit.predict.onnx_predictor import OnnxPredictor
    from dlkit.predict.predicting import predict
    from dlkit.predict.predictors import Predictor, TechniquePredictor

__all__ = ["OnnxPredictor", "Predictor", "TechniquePredictor", "collect_images", "predict"]

_HOMES = {
    "OnnxPredictor": "onnx_predictor",
    "Predictor": "predictors",
    "TechniquePredictor": "predictors",
    "collect_images": "inputs",
    "predict": "predicting",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that the light modules in here are importable without torch, and an ONNX model without onnx's rivals.
    if name in _HOMES:
        return getattr(import_module(f"dlkit.predict.{_HOMES[name]}"), name)
    raise AttributeError(name)
