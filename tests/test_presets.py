"""The presets of both experiments: what the paper and its authors' code say of NUS-WIDE."""

import inspect
import itertools
import json
from pathlib import Path

import pytest
from data_helpers import says

from vfl_jax.attacks import ActivationBlurring, GradientReplacement
from vfl_jax.data import NaturalTrigger, PixelTrigger, load_nus_wide_twin
from vfl_jax.models import MLP, DenseHead, SumHead
from vfl_jax.presets import PRESETS, digits_demo, liu2020_code, liu2020_paper, zou2022
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.sweeps.sweep import sweep


@pytest.fixture(scope="module")
def twin():
    return load_nus_wide_twin(num_train=640, num_test=200)


def test_what_the_authors_ran_on_nus_wide():
    scenario = liu2020_code(head="trainable", task="nus_wide")
    assert scenario.bottoms == (MLP(hidden=(), width=32, output_relu=True),) * 2
    assert scenario.head == DenseHead(hidden=(32,))
    assert isinstance(scenario.poison.trigger, NaturalTrigger)
    assert (scenario.poison.target_ids, scenario.poison.target_class) == ((369,), 0)
    assert (scenario.batches.order, scenario.batches.size) == ("shuffled", 64)
    assert [type(part) for part in scenario.attacks[1].parts] == [ActivationBlurring, GradientReplacement]
    sums = liu2020_code(head="sum", task="nus_wide")
    assert (sums.head, sums.bottoms[0]) == (SumHead(), MLP(hidden=(32,), width=5, output_relu=True))


def test_what_the_text_says_of_nus_wide():
    scenario = liu2020_paper(head="sum", task="nus_wide")
    assert scenario.bottoms == (MLP(hidden=(32,), width=5),) * 2
    assert isinstance(scenario.poison.trigger, NaturalTrigger)
    assert (scenario.batches.order, scenario.poison.target_ids) == ("sampled", None)


def test_the_task_is_mnist_unless_it_is_said():
    for preset in (liu2020_code, liu2020_paper, zou2022):
        assert isinstance(preset().poison.trigger, PixelTrigger)
        assert preset(num_classes=7, num_parties=3).bottoms == (preset(num_classes=7).bottoms[0],) * 3
    assert liu2020_code().poison.target_ids == (1,)
    assert liu2020_code().batches.order == "file"
    with pytest.raises(ValueError, match=says("task is 'cifar'", "'mnist', 'nus_wide'")):
        zou2022(task="cifar")


VARIED = {"task": ("mnist", "nus_wide"), "head": ("sum", "trainable")}


def varied(preset):
    """Every task and head of a preset, by name."""
    options = [name for name in VARIED if name in inspect.signature(preset).parameters]
    for chosen in itertools.product(*(VARIED[name] for name in options)):
        yield " ".join([preset.__name__, *chosen]), preset(**dict(zip(options, chosen, strict=True)))


def test_presets_are_those_that_results_stand_on():
    """Committed results are of these scenarios; whoever changes one here says so in the changes."""
    pinned = json.loads((Path(__file__).parent / "fixtures" / "presets.json").read_text())
    found = dict(itertools.chain.from_iterable(map(varied, PRESETS.values())))
    found["liu2020_code mnist sum, 3 parties, parties 0 and 2 attack, amplify 5, 7 classes"] = liu2020_code(
        num_parties=3, attackers=(0, -1), amplify=5, num_classes=7
    )
    assert set(found) == set(pinned)
    for name, scenario in found.items():
        assert json.loads(scenario.to_json()) == pinned[name], name


def test_the_numbers_of_the_follow_up():
    """Zou et al. 2022: ten target rows, weight decay 3e-5, a learning rate that falls by 3 % an epoch."""
    scenario = zou2022()
    for optimizer in (*scenario.optimizers, scenario.head_optimizer):
        assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.epoch_decay) == (0.01, 3e-5, 0.97)
    assert (scenario.poison.mode, scenario.poison.num_targets, scenario.poison.rate) == ("appended_pair", 10, 0.01)
    assert (scenario.head, scenario.batches.size) == (DenseHead(hidden=()), 64)
    assert (scenario.attacks[1].amplify, zou2022(amplify=3).attacks[1].amplify) == (10, 3)


def test_the_numbers_of_the_demo():
    for head in ("sum", "trainable"):
        scenario = digits_demo(head=head)
        assert {o.learning_rate for o in (*scenario.optimizers, scenario.head_optimizer)} == {0.1}
        assert (scenario.poison.rate, scenario.poison.test_rate) == (0.01, 0.2)
        assert scenario.bottoms == (MLP(hidden=(32,), width=10, output_relu=head == "trainable"),) * 2


@pytest.mark.parametrize("preset", [liu2020_code, liu2020_paper, zou2022])
def test_any_parties_attack(preset):
    honest = preset().attacks[0]
    assert honest == PartyTransform()
    attack = preset().attacks[1]
    assert preset(num_parties=4).attacks == (honest, honest, honest, attack)
    assert preset(num_parties=4, attackers=(0, -2)).attacks == (attack, honest, attack, honest)
    assert preset(num_parties=4, attackers=(-4,)).attacks == (attack, honest, honest, honest)
    for attackers in ((), (4,), (-5,)):
        with pytest.raises(ValueError, match=says("attackers is", "0 to 3")):
            preset(num_parties=4, attackers=attackers)


@pytest.mark.long
def test_pairs_of_natural_triggers_are_trained_on(twin):
    results = sweep(zou2022(task="nus_wide"), twin, {"attack.enabled": [0, 1]}, seeds=1, epochs=1, progress=False)
    assert results.is_finite.all()
    assert (results.backdoor_accuracy_count == twin.test.has_trigger.sum()).all()
    assert (results.main_task_accuracy_count == 200).all()
