"""Names and parameters of estimators are checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from dlkit_builtin.features.options import Components, FeaturesOptions, addressed
from dlkit_builtin.features.technique import Features
from small_features import small_spec

from dlkit.errors import UsageError
from dlkit.options.values import Size
from dlkit.probes.estimators import ESTIMATORS, make_estimator, parse_parameters


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"classifier": "linear-smv"}, "no classifier 'linear-smv'", "linear-svm"),
        ({"classifier": "sklearn.svm.NuSVCC"}, "no 'NuSVCC'", "NuSVC"),
        ({"classifier": "no_such_package.Thing"}, "no_such_package", "installed"),
        ({"classifier": "sklearn.svm.SVR"}, "learns numbers, but the labels are classes", ""),
        ({"classifier": "math.sqrt"}, "not a class with fit and predict", ""),
        ({"classifier": "lasso"}, "lasso does not learn classes", "softmax"),
        ({"param": ("c=1",)}, "no parameter of that name", "'C'"),
        ({"param": ("C=-1",)}, "'C' parameter", ""),
        ({"classifier": "svm-rbf", "param": ("kernel=poli",)}, "'kernel' parameter", ""),
        ({"search": "grid", "param": ("C=0.1|-1",)}, "'C' parameter", ""),
        ({"classifier": "sklearn.svm.NuSVC", "search": "grid"}, "nothing to search", "--param C=0.1"),
    ],
)
def test_mistakes_are_told_before_a_backbone_is_built(
    options: Mapping[str, object], message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlkit_builtin.features.technique.build_backbones", lambda *_: pytest.fail("built a backbone"))
    with pytest.raises(UsageError, match=message) as refused:
        Features(FeaturesOptions(**options), small_spec())
    assert hint in refused.value.hint


def test_several_labels_per_image_are_refused() -> None:
    with pytest.raises(UsageError, match="several labels per image"):
        Features(FeaturesOptions(), small_spec("multi-label"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": ("a", "b"), "weights": ("f",)}, "1 files for 2 backbones"),
        ({"param": ("0.1",)}, "KEY=VALUE"),
        ({"param": ("C=1|2",)}, "add --search"),
        ({"random_init": True, "weights": ("f",)}, "contradict"),
        ({"random_init": True, "backbone": ("run:cats-001",)}, "a run's own weights"),
        ({"raw_size": Size(8, 8)}, "add --concat raw"),
        ({"trials": 3}, "--search random"),
        ({"trials": 3, "search": "grid"}, "--search random"),
    ],
)
def test_combinations_that_contradict(options: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeaturesOptions(**options)


def test_parameters_are_python_literals_and_may_hold_commas() -> None:
    pieces = ["C=0.1", "hidden_layer_sizes=(100", "50)", "class_weight=balanced", "alpha=1|2.5", "max_depth=none"]
    assert parse_parameters(pieces) == {
        "C": (0.1,), "hidden_layer_sizes": ((100, 50),), "class_weight": ("balanced",), "alpha": (1, 2.5),
        "max_depth": (None,),
    }  # fmt: skip


def test_what_is_meant_for_one_of_several_backbones() -> None:
    items = ("pad_type=same", "run:mine:code=3", "b:x=1")
    names = ("a", "b", "run:mine")
    assert addressed(items, "a", names) == ["pad_type=same"]
    assert addressed(items, "b", names) == ["pad_type=same", "x=1"]
    assert addressed(items, "run:mine", names) == ["pad_type=same", "code=3"]


@pytest.mark.parametrize("text", ["64", "0.95"])
def test_components_are_written_as_they_are_read(text: str) -> None:
    assert str(Components.parse(text)) == text


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_components_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="number of components"):
        Components.parse(text)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("target", ["classes", "number"])
def test_every_short_name_and_its_grid_are_what_scikit_learn_takes(name: str, target: str) -> None:
    entry = ESTIMATORS[name]
    if not entry.path(target):
        pytest.skip("has none")
    for key, values in entry.grid.items():
        for value in values:
            assert make_estimator(name, target, {key: value}, 3).get_params()[key] == value


def test_more_components_than_there_can_be_are_refused_before_training() -> None:
    options = FeaturesOptions(backbone=("test_resnet",), random_init=True, pca=Components(5000))
    with pytest.raises(UsageError, match="features of 60 training images") as refused:
        Features(options, small_spec())
    assert "at most 60" in refused.value.hint


@pytest.mark.parametrize("name", ["lasso", "elastic-net"])
def test_sparse_regressions_learn_by_default(name: str) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 20))
    numbers = features[:, 0] + 0.1 * random.normal(size=60)
    model = make_estimator(name, "number", {}, 0).fit(features, (numbers - numbers.mean()) / numbers.std())
    assert model.coef_[0] > 0.8
    assert np.abs(model.coef_[1:]).max() < 0.1


def test_the_seed_reaches_estimators_that_draw() -> None:
    assert make_estimator("random-forest", "classes", {}, 7).random_state == 7
    assert make_estimator("random-forest", "classes", {"random_state": 1}, 7).random_state == 1
