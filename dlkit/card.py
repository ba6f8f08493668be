"""A technique's light declaration: all that help, lists, validation and docs need, without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from dlkit.errors import PluginError, UsageError

if TYPE_CHECKING:
    from dlkit.data.spec import ImageForm, TargetKind
    from dlkit.layerwise import LayerLearner
    from dlkit.options import Options
    from dlkit.technique import Technique

API_VERSION = 1
"""The plugin interface's version. A plugin module states the one it was written for: ``DLKIT_API = 1``."""

Augments = Literal["batches", "copies", "never"]
"""How a technique's training images are augmented: anew in each batch of ``runtime.fit``; as copies that are made once,
where it needs all images at once; not at all, because it learns from no images."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How :mod:`dlkit.testing` tries a technique out: on a few images of 8 × 8 in three classes, with no network.

    Attributes:
        needs: options without which it cannot run there at all, such as a backbone whose weights need not be fetched.
        small: options that make it quick (a narrow network, few epochs, but at least two of them).
        prepare: ``"package.module:function"``, heavy; ``function(data, runs)`` gives further options that it needs,
            such as runs trained before. ``data``: a path for ``--data``; ``runs``: a folder for such runs.
        falls: the figure of a step that training is to bring down.
        exceptions: name of a check → why it cannot hold. ``metrics_have_baselines:METRIC`` excepts one figure.
    """

    needs: Mapping[str, object] = field(default_factory=dict)
    small: Mapping[str, object] = field(default_factory=dict)
    prepare: str = ""
    falls: str = "loss"
    exceptions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a technique is, before anything heavy is imported.

    Attributes:
        name: the CLI name, kebab-case, unique (``autoencoder``).
        summary: one line, starting with a capital, ending with a full stop.
        description: a few paragraphs for ``dlkit info`` and the docs.
        sources: papers or books, "Author et al. year, title".
        task: what it learns: ``representation``, ``classification``, ``generation``, …
        options: the options dataclass.
        implementation: ``"package.module:Class"``, imported when work begins.
        capabilities: ``capabilities(options)`` names what a trained one can do
            (see :mod:`dlkit.technique`), without importing the implementation.
        needs_labels: training is refused on unlabelled data.
        targets: with ``needs_labels``, what the labels may say (:data:`dlkit.data.spec.TargetKind`).
        examples: command lines that show its use.
        advises: its implementation is :class:`dlkit.technique.Advises`, so ``--advise`` works.
        image_form: ``"package.module:function"``, heavy; ``function(options)`` gives the
            :class:`dlkit.data.spec.ImageForm` that images are brought to where the user does not say, or None.
        learns_layers: ``"package.module:function"``, heavy: a :class:`dlkit.layerwise.LayerLearner`.
        data: what ``--data`` is by default, where the option's own default is nothing for the technique.
        augments: ``augments(options)`` says what ``--augment`` does.
        mixes: ``mixes(options)``: it learns from distributions over classes too, as an
            :class:`dlkit.supervised.objective.Objective` does, so that pairs of images may be mixed.
        trial: how the contract's checks try it out (``dlkit plugins check``).
    """

    name: str
    summary: str
    options: type[Options]
    implementation: str
    capabilities: Callable[[Any], frozenset[str]]
    task: str = "representation"
    description: str = ""
    sources: tuple[str, ...] = ()
    needs_labels: bool = False
    targets: tuple[TargetKind, ...] = ("classes",)
    examples: tuple[str, ...] = ()
    advises: bool = False
    image_form: str = ""
    learns_layers: str = ""
    data: str = ""
    augments: Callable[[Any], Augments] = lambda _: "batches"
    mixes: Callable[[Any], bool] = lambda _: False
    trial: Trial = field(default_factory=Trial)

    def load(self) -> type[Technique[Any]]:
        """Import the implementation (heavy).

        Raises:
            PluginError: the module or the class cannot be imported.
        """
        implementation: type[Technique[Any]] = self._imported(self.implementation, "implementation")
        return implementation

    def form(self, options: Options) -> ImageForm | None:
        """How the technique wants its images (heavy).

        Raises:
            PluginError: the function cannot be imported.
        """
        if not self.image_form:
            return None
        form: ImageForm | None = self._imported(self.image_form, "image form")(options)
        return form

    def layer_learner(self) -> LayerLearner:
        """What teaches one layer of a stack (heavy).

        Raises:
            UsageError: the technique teaches none.
            PluginError: the function cannot be imported.
        """
        if not self.learns_layers:
            raise UsageError(
                f"Technique {self.name!r} does not learn single layers.", "`dlkit info NAME` says who does."
            )
        learner: LayerLearner = self._imported(self.learns_layers, "layer learner")
        return learner

    def _imported(self, path: str, what: str) -> Any:
        module_name, _, attribute = path.partition(":")
        try:
            return getattr(import_module(module_name), attribute)
        except Exception as error:
            raise PluginError(
                f"Technique {self.name!r}: its {what} {path!r} cannot be imported: {type(error).__name__}: {error}",
                "Reinstall or update the package that ships it, or report this to its authors.",
            ) from error
