"""Bottom models and heads against plain NumPy and a real convolution."""

import functools
import math

import chex
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.core.record import from_json, kinds
from vfl_jax.models import CNN, MLP, Bottom, DenseHead, Head, Linear, SumHead
from vfl_jax.models.bottoms import matmul
from vfl_jax.models.cnn import patches, pool


def dense_in_numpy(params, x, output_relu):
    """Dense layers with ReLU between them."""
    names = sorted(params, key=lambda name: int(name.split("_")[1]))
    for name in names:
        x = x @ np.asarray(params[name]["kernel"]) + np.asarray(params[name]["bias"])
        if output_relu or name != names[-1]:
            x = np.maximum(x, 0)
    return x


def shifted(params):
    """Parameters with biases that are not zero and of both signs, so that a forgotten bias or ReLU shows."""
    return jax.tree.map(lambda leaf: np.asarray(leaf) + helpers.normal(*leaf.shape, seed=leaf.size), params)


def pool_in_numpy(x):
    """2×2 maxima, pixel by pixel; a side of length 1 is kept."""
    sides = [(max(n // 2, 1), 2 if n > 1 else 1) for n in x.shape[1:3]]
    out = np.zeros((x.shape[0], sides[0][0], sides[1][0], x.shape[3]), x.dtype)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            (_, di), (_, dj) = sides
            out[:, i, j] = x[:, i * di : (i + 1) * di, j * dj : (j + 1) * dj].max(axis=(1, 2))
    return out


def convolve(x, kernel, bias):
    """A real 3×3 convolution with "same" padding."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers) + bias.reshape(
        1, 1, 1, -1
    )


@pytest.mark.parametrize(
    ("bottom", "num_layers"),
    [
        (Linear(width=4), 1),
        (MLP(width=4, hidden=()), 1),
        (MLP(width=4, hidden=(5,)), 2),
        (MLP(width=4, hidden=(5, 6), output_relu=True), 3),
    ],
)
def test_dense_bottoms_match_numpy(bottom, num_layers):
    """Images are flattened row by row."""
    features = helpers.normal(20, 2, 3)
    params = shifted(helpers.quick_jit(bottom.init)(jax.random.key(0), features))
    assert len(params) == num_layers
    relu = getattr(bottom, "output_relu", False)
    expected = dense_in_numpy(params, features.reshape(20, 6), relu)
    # A ReLU at the end changes these rows, so that it matters whether it is there.
    assert (dense_in_numpy(params, features.reshape(20, 6), False) < 0).any()
    np.testing.assert_allclose(helpers.quick_jit(bottom.apply)(params, features), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 2, 4), (4,)])
def test_the_product_and_its_gradients_are_those_of_the_operator(shape):
    """Alone, and mapped over kernels [F, G, E] that share x or do not; the cotangent is another number everywhere."""
    kernels, out = helpers.normal(4, 6, 3, seed=1), (*shape[:-1], 3)

    def all_three(product, x, kernel, slope):
        value, pullback = jax.vjp(product, x, kernel)
        return value, *pullback(slope)

    for of_x, of_kernel, of_slope in [(None, None, None), (None, 1, 0), (0, 1, 0), (0, None, 0), (None, None, 0)]:
        x, slope = helpers.normal(*shape, seed=2), helpers.normal(*out, seed=3)
        if (of_x, of_kernel, of_slope) == (None, None, None):
            arguments, wrap = (x, kernels[:, 0], slope), helpers.quick_jit
        else:
            arguments = (
                x if of_x is None else helpers.normal(6, *shape, seed=2),
                kernels[:, 0] if of_kernel is None else kernels,
                helpers.normal(6, *out, seed=3),
            )

            def wrap(f, axes=(of_x, of_kernel, of_slope)):
                return helpers.quick_jit(jax.vmap(f, axes, (0, 0, 1)))

        found, expected = (
            wrap(functools.partial(all_three, product))(*map(jnp.asarray, arguments))
            for product in (matmul, lambda x, kernel: x @ kernel)
        )
        chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, bool])
def test_whole_numbers_are_taken_as_floats(kind):
    """Counts and flags, also where promotion is strict; so are their parameters' gradients."""
    bottom, features = Linear(width=3), np.random.default_rng(0).integers(0, 2, (5, 4)).astype(kind)
    params = shifted(bottom.init(jax.random.key(0), features))

    def squares(params, features):
        return jnp.square(bottom.apply(params, features)).sum()

    found, expected = (jax.value_and_grad(squares)(params, jnp.asarray(x)) for x in (features, features.astype("f4")))
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("shape", "output_relu"), [((7, 5), False), ((3, 1), False), ((14, 28), True)])
def test_cnn_equals_a_real_convolution(shape, output_relu):
    """Patches times a dense kernel are a convolution; then ReLU, pooling and one dense layer."""
    bottom = CNN(width=4, channels=(3, 5), output_relu=output_relu)
    features = helpers.normal(2, *shape)
    params = shifted(helpers.quick_jit(bottom.init)(jax.random.key(1), features))
    x = features[..., None]
    for i in range(2):
        layer = params[f"conv_{i}"]
        kernel = layer["kernel"].reshape(3, 3, x.shape[-1], -1)
        x = pool_in_numpy(np.maximum(convolve(x, kernel, layer["bias"]), 0))
    expected = dense_in_numpy(params["out"], x.reshape(2, -1), output_relu)
    chex.assert_trees_all_close(
        helpers.quick_jit(bottom.apply)(params, features),
        jnp.asarray(expected),
        rtol=1e-4,
        atol=1e-4,
    )


def test_gradients_of_the_cnn_are_those_of_a_real_convolution():
    x, kernel = helpers.normal(2, 5, 4, 3), helpers.normal(3, 3, 3, 2, seed=1)
    weights = helpers.normal(2, 5, 4, 2, seed=2)

    def by_patches(x, kernel):
        return jnp.sum(weights * (patches(x, 3) @ kernel.reshape(27, 2)))

    def by_convolution(x, kernel):
        return jnp.sum(weights * convolve(x, kernel, jnp.zeros(2)))

    found, expected = (helpers.quick_jit(jax.grad(f, argnums=(0, 1)))(x, kernel) for f in (by_patches, by_convolution))
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (1, 4), (1, 1)])
def test_pooling_leaves_out_an_odd_end_and_keeps_a_side_of_one(shape):
    x = helpers.normal(2, *shape, 3)
    np.testing.assert_array_equal(pool(x), pool_in_numpy(x))


def test_replicas_of_a_cnn_make_no_grouped_convolution():
    """Weights per replica would turn a convolution into a grouped one, which is slow; patches do not."""
    bottom, features = CNN(width=4, channels=(3,)), helpers.normal(2, 6, 6)
    keys = jax.random.split(jax.random.key(0), 3)
    params = jax.eval_shape(jax.vmap(lambda key: bottom.init(key, features)), keys)
    program = str(jax.make_jaxpr(jax.vmap(bottom.apply, in_axes=(0, None)))(params, features))
    assert "dot_general" in program
    assert "conv_general" not in program


def test_sum_head_adds_and_has_nothing_to_train():
    embeddings = tuple(helpers.normal(5, 3, seed=k) for k in range(4))
    assert SumHead().init(jax.random.key(0), embeddings, 3) == {}
    np.testing.assert_allclose(SumHead().apply({}, embeddings, 3), sum(embeddings), rtol=1e-6)


@pytest.mark.parametrize("hidden", [(), (32,), (16, 16)])
def test_dense_head_concatenates_in_the_order_of_parties(hidden):
    head, embeddings = DenseHead(hidden=hidden), tuple(helpers.normal(5, k + 2, seed=k) for k in range(3))
    params = shifted(helpers.quick_jit(head.init, static_argnums=2)(jax.random.key(0), embeddings, 4))
    assert [params[f"dense_{i}"]["bias"].size for i in range(len(params))] == [*hidden, 4]
    expected = dense_in_numpy(params, np.concatenate(embeddings, axis=1), output_relu=False)
    np.testing.assert_allclose(head.apply(params, embeddings, 4), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bottom", [MLP(width=40), CNN(width=40)])
def test_kernels_are_glorot_uniform_and_biases_zero(bottom):
    init = helpers.quick_jit(bottom.init)
    params = init(jax.random.key(2), helpers.normal(1, 8, 8))
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if path[-1].key == "bias":
            np.testing.assert_array_equal(leaf, 0)
            continue
        limit = math.sqrt(6 / sum(leaf.shape))
        assert np.abs(leaf).max() <= limit
        # Uniform: the deviation is limit/√3; the smallest kernel here has 72 entries.
        assert np.asarray(leaf).std() == pytest.approx(limit / math.sqrt(3), rel=0.15)
    again = init(jax.random.key(2), helpers.normal(1, 8, 8, seed=9))
    chex.assert_trees_all_equal(params, again)
    assert helpers.differs(params, init(jax.random.key(3), helpers.normal(1, 8, 8)))


def test_every_model_survives_json():
    for base in (Bottom, Head):
        for name, kind in kinds(base).items():
            if kind.__module__.startswith("vfl_jax"):
                back = from_json(kind().to_json())
                assert back == kind(), name
                assert type(back) is kind
    assert MLP(hidden=(3,)) != MLP(hidden=(4,))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Linear(width=0), "bottom.width"),
        (lambda: MLP(hidden=(3, -1)), "bottom.hidden"),
        (lambda: CNN(channels=(0,)), "bottom.channels"),
        (lambda: DenseHead(hidden=(0,)), "head.hidden"),
        (lambda: CNN().apply({}, jnp.zeros((2, 36))), r"\[B, H, W\]; found features of shape \(2, 36\)"),
        (lambda: SumHead().check((3, 4), 3), "bottoms.1.width is 4"),
    ],
)
def test_misuse_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()
