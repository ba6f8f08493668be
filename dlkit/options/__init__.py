"""Options: declared once as a dataclass field, used as flag, config key, validation, docs row and record."""

from dlkit.options.coerce import coerce, expectation, to_plain, to_text
from dlkit.options.core import DataOptions, RunOptions, RuntimeOptions, TrainOptions
from dlkit.options.declare import Option, Options, Parsed, option, options_of
from dlkit.options.layers import LayerOptions

__all__ = [
    "DataOptions",
    "LayerOptions",
    "Option",
    "Options",
    "Parsed",
    "RunOptions",
    "RuntimeOptions",
    "TrainOptions",
    "coerce",
    "expectation",
    "option",
    "options_of",
    "to_plain",
    "to_text",
]
