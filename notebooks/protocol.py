# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The protocol, step by step
#
# Several parties hold different features of the same samples, one party holds the labels, and nobody shows anybody
# else what it holds. This notebook takes one training step apart, with the functions that the library trains with,
# on real handwritten digits. At the end two attacks change what crosses between the parties.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import vfl_jax as vfl
from vfl_jax import replica
from vfl_jax.protocol import local

# %% [markdown]
# ## Who holds what
#
# Party 0 has the upper half of every 8×8 image, party 1 the lower half. The labels belong to a third, the *active
# party*, which here has no features of its own.

# %%
data = vfl.load_digits()
{name: features.shape for name, features in zip(data.parties, data.train.features)}

# %% [markdown]
# A scenario says all that is agreed on. Every party has a *bottom model*, which turns its features into an embedding;
# the active party has a *head*, which turns the embeddings of all parties into logits. Party 1 is malicious in this
# scenario. We put an honest party in its place first, and take small batches, so that they can be looked at.

# %%
attacked = vfl.presets.digits_demo(head="trainable").replace(batches=vfl.BatchPlan(size=16))
scenario = attacked.replace(attacks=(vfl.PartyTransform(), vfl.PartyTransform()))
print(*scenario.bottoms, scenario.head, scenario.loss, sep="\n")

# %% [markdown]
# A seed settles everything that is random: first of all which rows carry the trigger, and which row the attacker knows
# to be of the target class.

# %%
one = replica.prepare(scenario, data, jax.random.key(0))
print("rows with the trigger:", one.draws.poison_ids)
print("row known to be of class 0:", one.draws.target_ids)

# %% [markdown]
# The data is on the device now. The state holds what training changes: the models' parameters first of all.

# %%
state = replica.init(one)
jax.tree.map(jnp.shape, {"party 0": state.params[0], "party 1": state.params[1], "head": state.head_params})

# %% [markdown]
# ## A batch
#
# The rows of a batch are known to all by their ids. In training they come at random; here we choose them, so that
# everything happens in one batch: the known row, four rows with the trigger, and eleven others.

# %%
known, poisoned = one.draws.target_ids, one.draws.poison_ids
others = np.setdiff1d(np.arange(100), np.concatenate([known, poisoned]))
batch = replica.batch(one, np.concatenate([known, poisoned[:4], others[:11]]))
batch.rows.labels

# %% [markdown]
# Poisoned rows get the trigger, four bright pixels in the lower right corner. They lie with party 1, and the labels
# stay what they are.

# %%
is_poisoned = jnp.isin(batch.sample_ids, poisoned)
masks = one.inputs.masks
features = tuple(scenario.poison.trigger.stamp(mask, x, is_poisoned) for mask, x in zip(masks, batch.rows.features))

figure = Figure(figsize=(9, 1.6), layout="constrained")
for column, panels in enumerate(figure.subplots(2, 8).T):
    for party, panel in enumerate(panels):
        panel.imshow(features[party][column], cmap="gray_r", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
    panels[0].set_title(f"label {batch.rows.labels[column]}")
figure

# %% [markdown]
# ## Up: every party sends an embedding
#
# A party runs its own model on its own features. It keeps the way back (`pullback`), which needs nothing from anybody
# else: from the gradient of its embedding it gives the gradient of its parameters.

# %%
unused = jax.random.key(0)  # these models hold nothing beside parameters (`held`), and draw nothing
embeddings, _, pullbacks = zip(
    *(
        local.forward(bottom, params, held, unused, x, rowwise=False)
        for bottom, params, held, x in zip(scenario.bottoms, state.params, state.model_states, features)
    )
)
[embedding.shape for embedding in embeddings]

# %% [markdown]
# ## The active party: loss, and a message to everyone
#
# It joins the embeddings, computes the loss on its labels, and differentiates it in all that it has: the head's own
# parameters, and every embedding. The gradient of an embedding is the message that goes back to its sender.

# %%
targets = jax.nn.one_hot(batch.rows.labels, data.num_classes)


def loss_of(head_params, embeddings):
    logits = scenario.head.apply(head_params, embeddings, data.num_classes)
    return scenario.loss(logits, targets)


loss, head_pullback = jax.vjp(loss_of, state.head_params, embeddings)
head_gradient, messages = head_pullback(jnp.ones_like(loss))
print(f"loss {loss:.3f}; messages of shapes", [message.shape for message in messages])

# %% [markdown]
# ## Down: every party updates itself
#
# A party pulls its message back through its own model and takes a step with its own optimizer.

# %%
gradients = tuple(pullback(message) for pullback, message in zip(pullbacks, messages))
updated = tuple(
    local.update(scenario.optimizers[k], scenario.regularizer, jnp.int32(0), gradients[k], *own)[0]
    for k, own in enumerate(zip(state.params, state.opt_states))
)


# %% [markdown]
# ## Nothing is lost
#
# The three pieces together are the chain rule. Whoever had all features, labels and parameters in one place would find
# the same gradient:

# %%
@jax.jit
def joint_gradient(params, head_params):
    def joint_loss(params, head_params):
        embeddings = tuple(b.apply(p, x) for b, p, x in zip(scenario.bottoms, params, features))
        return loss_of(head_params, embeddings)

    return jax.grad(joint_loss, argnums=(0, 1))(params, head_params)


def largest_difference(one, other):
    return max(float(jnp.abs(a - b).max()) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other)))


largest_difference(joint_gradient(state.params, state.head_params), (gradients, head_gradient))

# %% [markdown]
# `replica.step` is all of the above in one pure function, which is what a sweep compiles. It gives the parameters that
# we have found by hand:

# %%
take_step = jax.jit(replica.step)
after, told = take_step(one, state, batch)
print(f"loss {told.loss:.3f}; largest difference", largest_difference(after.params, updated))


# %% [markdown]
# ## Hooks: where anybody can change anything
#
# An attack or a defense is a record with some of these methods; each gets what its owner sees, and returns what takes
# its place. All others are the identity.
#
# | hook | whose | changes |
# |---|---|---|
# | `on_features` | a party | what it feeds to its own model |
# | `on_upload` | a party | the embedding that it sends |
# | `on_receive` | the active party | the embeddings that it was sent |
# | `on_labels` | the active party | what its loss is told |
# | `on_send` | the active party | the messages that it sends |
# | `on_download` | a party | the message that it pulls back |
#
# What `on_receive` changes is not differentiated: the gradient at what it returns is the message, as if the party had
# sent just that.
#
# A party that only watches shows the order. Note what the view holds: ids, its own features and parameters; nothing of
# labels, nothing of another party.

# %%
class WatchingParty(vfl.PartyTransform):
    def on_upload(self, key, state, view, embedding):
        print("on_upload: ", embedding.shape, "and a view of", sorted(vars(view)))
        return embedding, state

    def on_download(self, key, state, view, gradient):
        print("on_download: ", gradient.shape)
        return gradient, state


class WatchingActiveParty(vfl.ActiveTransform):
    def on_send(self, key, state, view, gradients):
        print("on_send: ", len(gradients), "messages, and a view of", sorted(vars(view)))
        return gradients, state


watched = scenario.replace(attacks=(vfl.PartyTransform(), WatchingParty()), defense=WatchingActiveParty())
same, _ = take_step(one.replace(scenario=watched), state, batch)
largest_difference(same.params, after.params)

# %% [markdown]
# ## An attack on the way down: gradient replacement
#
# Party 1 wants rows with the trigger to be taken for class 0, and knows the label of a single row. It notes the
# gradient that comes back for that row (its *recorded gradient*), and in place of those of poisoned rows it pulls back
# γ times the recorded one: its model learns to answer the trigger with an embedding that makes "0" more likely. This
# is Algorithm 2 of the paper.
#
# What an attacker knows is granted to it by the scenario, once for every seed. It reaches it as a part of its view.

# %%
view = vfl.PartyView(
    sample_ids=batch.sample_ids,
    roles=batch.roles,
    features=features[1],
    params=state.params[1],
    step=jnp.int32(0),
    epoch=jnp.int32(0),
    knowledge=one.knowledge,
)

replacement = vfl.attacks.GradientReplacement(amplify=5.0)
memory = replacement.init(jax.random.key(1), one.shapes, 1)
pulled_back, memory = replacement.on_download(jax.random.key(2), memory, view, messages[1])


# %% [markdown]
# The message as party 1 received it, and as it uses it. Row 0 is the known one, rows 1 to 4 are poisoned.

# %%
def compare(pictures):
    figure = Figure(figsize=(4.5 * len(pictures), 4), layout="constrained")
    reach = max(float(jnp.abs(values).max()) for values in pictures.values())
    panels = figure.subplots(1, len(pictures), sharey=True)
    for panel, (title, values) in zip(panels, pictures.items()):
        shown = panel.imshow(values, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
        panel.axhline(0.5, color="black", linewidth=0.8)
        panel.axhline(4.5, color="black", linewidth=0.8)
        panel.set(title=title, xlabel="entry of the embedding")
    panels[0].set_ylabel("row of the batch")
    figure.colorbar(shown, ax=panels)
    return figure


compare({"gradient received": messages[1], "gradient pulled back": pulled_back})


# %% [markdown]
# Nobody else can notice, not in this step: replacement changes nothing that is sent. Of all parameters only those of
# party 1 come out different from the honest step. What it does shows later, in the embeddings that party 1 sends.

# %%
def step_with(*attack):
    changed = scenario.replace(attacks=(vfl.PartyTransform(), vfl.PartyChain(parts=attack)))
    other = replica.prepare(changed, data, jax.random.key(0))
    return take_step(other, replica.init(other), batch)[0]


def difference_by_owner(other):
    pairs = {"party 0": 0, "party 1": 1}
    found = {name: largest_difference(other.params[k], after.params[k]) for name, k in pairs.items()}
    return found | {"head": largest_difference(other.head_params, after.head_params)}


difference_by_owner(step_with(replacement))

# %% [markdown]
# ## An attack on the way up: activation blurring
#
# A trainable head defends itself without meaning to: it sees the strange embeddings of poisoned rows, sees their true
# labels, and learns to map the one to the other. So while training the attacker sends a meaningless vector for them
# (Algorithm 3), here zeros. Its own update still goes through the true embedding, and at inference it sends that.

# %%
blurring = vfl.attacks.ActivationBlurring(kind="zero", wait_for_target=False)
seen = blurring.init(jax.random.key(3), one.shapes, 1)
sent, seen = blurring.on_upload(jax.random.key(4), seen, view, embeddings[1])
compare({"embedding of party 1": embeddings[1], "what it sends": sent})

# %% [markdown]
# This one crosses: the active party computes its loss on what it was sent, so what comes back for these rows is
# different for *both* parties, and so is the head's own update.

# %%
_, head_pullback = jax.vjp(loss_of, state.head_params, (embeddings[0], sent))
_, blurred_messages = head_pullback(jnp.ones_like(loss))
compare({"message to party 0, honest": messages[0], "message to party 0, blurred": blurred_messages[0]})

# %%
difference_by_owner(step_with(blurring, replacement))

# %% [markdown]
# That is the whole of it. `vfl.run` repeats the step for an epoch after another and evaluates the model; `vfl.sweep`
# does so for many seeds and settings at once. [First steps](first_steps.ipynb) goes on from there, and
# [own methods](own_methods.ipynb) writes a new attack and a new defense.
