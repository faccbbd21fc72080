"""Figures 1 and 2 show the data and the scenarios as they are."""

import matplotlib
import numpy as np
import pytest
from experiment_helpers import small_task

from experiments.liu2020.pictures import __main__ as command
from experiments.liu2020.pictures.digits import figure_1
from experiments.liu2020.pictures.networks import bottom_layers, figure_2, head_layers
from vfl_jax.models import DenseHead
from vfl_jax.presets import MNIST_PIXELS, liu2020_code, liu2020_paper


def texts(artist):
    return [text.get_text() for panel in artist.axes for text in panel.texts]


def test_digits_are_shown_in_halves_and_with_the_trigger():
    data, digits = small_task("mnist"), (3, 5)
    figure = figure_1(liu2020_code(), data, digits)
    (panel,) = figure.axes
    blocks = [np.asarray(image.get_array()) for image in panel.images]
    assert [block.shape for block in blocks] == [(14, 28)] * 2 * len(digits) * 2
    halves = np.reshape(blocks, (2, len(digits), 28, 28))  # honest and poisoned, digit, the whole image
    for (honest, poisoned), digit in zip(halves.swapaxes(0, 1), digits, strict=True):
        assert {tuple(pixel) for pixel in np.argwhere(honest != poisoned)} == set(MNIST_PIXELS)
        assert all(poisoned[pixel] == 1 for pixel in MNIST_PIXELS)
        images = np.concatenate(data.train.features, axis=1)[data.train.labels == digit]
        assert (images == honest).all(axis=(1, 2)).any()
        assert {f"label {digit}", f"label {digit}, wanted 0"} <= set(texts(figure))


def test_networks_have_the_layers_of_their_scenarios():
    figure = figure_2(small_task("mnist"))
    shown = [set(texts(row)) for row in figure.subfigs]
    assert {"392 features", "dense 32, ReLU", "dense 10", "sum, 10", "concatenation, 64", "softmax"} <= shown[0]
    assert {"392 features", "dense 32, ReLU", "dense 10, ReLU", "sum, 10", "concatenation, 20"} <= shown[1]
    assert "concatenation, 20" not in shown[0]


@pytest.mark.parametrize("preset", [liu2020_paper, liu2020_code])
def test_layers_of_tags_and_of_a_deeper_head(preset):
    scenario, data = preset(head="trainable", task="nus_wide"), small_task("nus_wide")
    layers = [bottom_layers(*pair) for pair in zip(scenario.bottoms, data.train.features, strict=True)]
    assert layers == [["634 features", "dense 32, ReLU"], ["1000 features", "dense 32, ReLU"]]
    deeper = scenario.replace(head=DenseHead(hidden=(32, 16)))
    wanted = ["concatenation, 64", "dense 32, ReLU", "dense 16, ReLU", "dense 5", "softmax"]
    assert head_layers(deeper, data.num_classes) == wanted


def test_the_command_writes_both(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "load_task", small_task)
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 20)
    command.main(["--out", str(tmp_path)])
    for name in ("figure_1.png", "figure_2.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
