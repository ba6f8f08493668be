"""Options: declared once as a dataclass field, used as flag, config key, validation, docs row and record."""

from dlkit.options.core import DataOptions, RunOptions, RuntimeOptions, TrainOptions
from dlkit.options.declare import Option, Options, option, options_of

__all__ = [
    "DataOptions",
    "Option",
    "Options",
    "RunOptions",
    "RuntimeOptions",
    "TrainOptions",
    "option",
    "options_of",
]
