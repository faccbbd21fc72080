"""Every argument of ``sweep`` and ``run`` is checked before anything compiles, and a message says what to give."""

import inspect

import jax
import pytest
from data_helpers import tiny_scenario
from training_helpers import small_digits

import vfl_jax as vfl

SCENARIO = tiny_scenario()
COUNTS = {0: "at least 1", 2.5: "whole number", True: "whole number"}
SHARED = {
    "scenario": [(None, "must be a Scenario"), ({"bottoms": ()}, "must be a Scenario")],
    "data": [(None, "VerticalData"), ("digits", "VerticalData"), (lambda: 3, "VerticalData")],
    "epochs": list(COUNTS.items()),
    "given": [(None, "must be a Given"), (vfl.Given(poison_ids=["a"]), "arrays of numbers")],
    "progress": [(1, "True or False"), ("yes", "True or False")],
    "evaluate_every": list(COUNTS.items()),
}
WRONG = {
    vfl.sweep: SHARED
    | {
        "over": [("attack.amplify", "dict"), ([("attack.amplify", [1])], "dict"), ({"attack.amplify": 1}, "list")],
        "seeds": [(0, "above 0"), ([1, 1], "distinct"), (2.5, "whole"), (None, "whole"), ([2**32], "below 2**32")],
        "folder": [(3, "path of a folder"), ("", "path of a folder")],
        "checkpoint_every": [*COUNTS.items(), (None, "at least 1")],
        "max_replicas": list(COUNTS.items()),
        "executor": [(3, "must be an Executor"), ("dask", "must be an Executor")],
        "log_json": [(3, "path of a file"), ("", "path of a file")],
        "accept_changed_code": [(1, "True or False"), (None, "True or False")],
        "keep": [("all", "'params'"), (True, "'params'")],
    },
    vfl.run: SHARED | {"key": [(0, "typed key"), (jax.random.PRNGKey(0), "typed key")]},
}
CASES = [
    pytest.param(function, name, value, allowed, id=f"{function.__name__}-{name}={i}")
    for function, of_function in WRONG.items()
    for name, values in of_function.items()
    for i, (value, allowed) in enumerate(values)
]


@pytest.fixture(scope="module")
def right():
    """Arguments that are right, whichever one of them is changed."""
    return {
        vfl.sweep: {"scenario": SCENARIO, "data": small_digits(), "seeds": 1, "epochs": 1, "progress": False},
        vfl.run: {"scenario": SCENARIO, "data": small_digits(), "key": jax.random.key(0), "epochs": 1},
    }


@pytest.fixture
def compiled():
    """The durations of compilations from now on."""
    durations = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            durations.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield durations
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("function", list(WRONG), ids=lambda function: function.__name__)
def test_every_argument_has_its_wrong_values(function):
    assert set(WRONG[function]) == set(inspect.signature(function).parameters)
    assert all(len(values) >= 2 for values in WRONG[function].values())


@pytest.mark.parametrize(("function", "name", "value", "allowed"), CASES)
def test_a_wrong_argument_is_named_before_anything_compiles(function, name, value, allowed, right, compiled):
    with pytest.raises((ValueError, TypeError)) as caught:
        function(**(right[function] | {name: value}))
    message = str(caught.value)
    assert message.startswith(name), message
    assert allowed in message, message
    assert compiled == []


def test_the_listener_hears_a_compilation(compiled):
    jax.jit(lambda x: x * 3.25 + 7)(2.0)
    assert compiled
