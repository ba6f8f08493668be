"""Predictions: what a trained technique or an exported model says about images, written as files or text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.predict.inputs import collect_images
    from dlkit.predict.onnx_predictor import OnnxPredictor
    from dlkit.predict.predicting import predict
    from dlkit.predict.predictors import Predictor, TechniquePredictor

__all__ = ["OnnxPredictor", "Predictor", "TechniquePredictor", "collect_images", "predict"]

__getattr__ = loader(
    __name__,
    {
        "OnnxPredictor": "onnx_predictor",
        "Predictor": "predictors",
        "TechniquePredictor": "predictors",
        "collect_images": "inputs",
        "predict": "predicting",
    },
)
