"""What learned methods are compared with: PCA, classical filters, simple classifiers on any features.

Each is a thin use of scikit-learn, SciPy or scikit-image, with the conventions that make figures comparable.
"""

from dlkit.baselines.codes import code_metrics
from dlkit.baselines.filters import best_filter
from dlkit.baselines.limits import affordable, spread
from dlkit.baselines.pca import PCABaseline
from dlkit.baselines.probes import knn_accuracy, linear_probe_accuracy, wilson_interval
from dlkit.baselines.quality import Quality, image_quality, quality_metrics

__all__ = [
    "PCABaseline",
    "Quality",
    "affordable",
    "best_filter",
    "code_metrics",
    "image_quality",
    "knn_accuracy",
    "linear_probe_accuracy",
    "quality_metrics",
    "spread",
    "wilson_interval",
]
