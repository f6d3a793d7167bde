"""Two errors of cross-attention: a single key, and texts that contain the label."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import draw

from sktext_vq import VQTextClassifier
from sktext_vq._training.batches import BatchBuilder
from sktext_vq.nn import Fusion
from sktext_vq.nn.model import DualBranchModel

DIM, N_CLASSES = 16, 3
N_CASES, N_SIGNAL, N_TEXT = 4, 6, 5


@pytest.fixture
def fusion():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fusion = Fusion(DIM, N_CLASSES).double()
    fusion.null.data = draw(1, 1, DIM, seed=9)
    return fusion


@pytest.fixture
def given():
    """Return tokens of four cases with padding, without text dropout."""
    return {
        "signal": draw(N_CASES, N_SIGNAL, DIM),
        "signal_known": torch.arange(N_SIGNAL) < torch.tensor([[6], [4], [5], [1]]),
        "text": draw(N_CASES, N_TEXT, DIM, seed=1),
        "text_known": torch.arange(N_TEXT) < torch.tensor([[5], [2], [3], [4]]),
        "keep_text": torch.ones(N_CASES, dtype=torch.bool),
    }


def heard_by_signal(fusion, given):
    """Return the text part of each signal token after attention."""
    heard = []
    hook = fusion.signal_asks.register_forward_hook(
        lambda module, inputs, output: heard.append(output[0].detach())
    )
    fusion(**given)
    hook.remove()
    return heard[0]


def assert_same(found, expected):
    for logits, right in zip(found, expected, strict=True):
        torch.testing.assert_close(logits, right)


def moves(found, expected):
    """Return the change of the logits of each case, the smaller of both heads."""
    return torch.stack(
        [(a - b).abs().amax(1) for a, b in zip(found, expected, strict=True)]
    ).amin(0)


# -- A single key: attention does not depend on the query ----------------------------


def test_another_signal_receives_another_text(fusion, given):
    """Attention to the same text depends on the signal and on the token."""
    known = given["signal_known"]
    one = heard_by_signal(fusion, given)
    other = heard_by_signal(fusion, given | {"signal": draw(4, 6, DIM, seed=5)})
    assert (one - other)[known].norm(dim=1).min() > 1e-3
    assert (one[:, 1:] - one[:, :1])[known[:, 1:]].norm(dim=1).min() > 1e-3


def test_with_a_single_key_all_receive_the_same(fusion, given):
    """With a pooled text, attention does not depend on the query."""
    given |= {"text": given["text"][:, :1], "text_known": given["text_known"][:, :1]}
    one = heard_by_signal(fusion, given)
    other = heard_by_signal(fusion, given | {"signal": draw(4, 6, DIM, seed=5)})
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(one, one[:, :1].expand_as(one))


def test_without_text_all_receive_the_null_token(fusion, given):
    given["keep_text"] = torch.tensor([True, False, True, False])
    heard = heard_by_signal(fusion, given)
    torch.testing.assert_close(heard[1], heard[3])
    torch.testing.assert_close(heard[1], heard[1, :1].expand_as(heard[1]))
    assert (heard[0] - heard[1]).norm(dim=1).min() > 1e-3


# -- Padding, order and text dropout -------------------------------------------------


@pytest.mark.parametrize("branch", ["signal", "text"])
@pytest.mark.parametrize("content", [float("nan"), float("inf"), 1e30])
def test_content_of_padding_changes_nothing(fusion, given, branch, content):
    tokens = given[branch].clone()
    tokens[~given[f"{branch}_known"]] = content
    found, expected = fusion(**given | {branch: tokens}), fusion(**given)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("branch", ["signal", "text"])
def test_amount_of_padding_changes_nothing(fusion, given, branch):
    known = f"{branch}_known"
    wider = given | {
        branch: F.pad(given[branch], (0, 0, 0, 7)),
        known: F.pad(given[known], (0, 7)),
    }
    assert_same(fusion(**wider), fusion(**given))


@pytest.mark.parametrize("branch", ["signal", "text"])
def test_every_known_token_makes_a_difference(fusion, given, branch):
    expected = fusion(**given)
    for case, token in given[f"{branch}_known"].nonzero().tolist():
        tokens = given[branch].clone()
        tokens[case, token] = draw(DIM, seed=7)
        moved = moves(fusion(**given | {branch: tokens}), expected)
        assert moved[case] > 1e-5
        moved[case] = 0
        assert (moved < 1e-12).all()


@pytest.mark.parametrize("branch", ["signal", "text"])
def test_order_of_tokens_changes_nothing(fusion, given, branch):
    order = {"signal": [3, 1, 5, 0, 2, 4], "text": [3, 1, 4, 0, 2]}[branch]
    known = f"{branch}_known"
    turned = given | {branch: given[branch][:, order], known: given[known][:, order]}
    assert_same(fusion(**turned), fusion(**given))


def test_mask_belongs_to_its_keys(fusion, given):
    """Keys in another order with the same mask are different keys."""
    turned = given | {"text": given["text"][:, [3, 1, 4, 0, 2]]}
    assert moves(fusion(**turned), fusion(**given))[1:].min() > 1e-5


def test_dropped_text_has_no_say(fusion, given):
    keep = torch.tensor([True, False, True, False])
    given["keep_text"] = keep
    other = given | {
        "text": draw(N_CASES, N_TEXT, DIM, seed=6),
        "text_known": ~given["text_known"],
    }
    other["text_known"][:, 0] = True
    moved = moves(fusion(**other), fusion(**given))
    assert (moved[~keep] < 1e-12).all()
    assert moved[keep].min() > 1e-3


def test_dropping_the_text_makes_a_difference(fusion, given):
    without = given | {"keep_text": torch.zeros(N_CASES, dtype=torch.bool)}
    assert moves(fusion(**without), fusion(**given)).min() > 1e-3


def test_cases_do_not_see_each_other(fusion, given):
    expected = fusion(**given)
    for case in range(N_CASES):
        alone = {name: values[case : case + 1] for name, values in given.items()}
        assert_same(fusion(**alone), [logits[case : case + 1] for logits in expected])


# -- Texts that contain the label ----------------------------------------------------

FUSED = {"fused": 1.0, "distillation": 1.0}


class Spy:
    """Record the inputs of fits: cases, batches, and tokens of the fused head."""

    def __init__(self, monkeypatch):
        self.seen = []
        build, forward = BatchBuilder.build, Fusion.forward

        def watched_build(batches, cases, training):
            made = build(batches, cases, training)
            if training:
                self.seen.append({"cases": cases, "batch": made})
            return made

        def watched_forward(fusion, signal, known, text, text_known, keep):
            if fusion.training:
                self.seen[-1] |= {"text": text.detach(), "known": text_known}
                self.seen[-1] |= {"keep": keep}
            return forward(fusion, signal, known, text, text_known, keep)

        monkeypatch.setattr(BatchBuilder, "build", watched_build)
        monkeypatch.setattr(Fusion, "forward", watched_forward)


@pytest.fixture
def spy(monkeypatch):
    return Spy(monkeypatch)


def classifier(**params):
    params = {"max_epochs": 2, "random_state": 0, "loss_weights": FUSED} | params
    return VQTextClassifier(text_encoder="hashing", **params)


def test_with_class_prompts_all_cases_are_given_the_same_text(spy, many_rhythms):
    classifier(text="labels").fit(*many_rhythms)
    assert spy.seen
    for seen in spy.seen:
        text = seen["text"]
        assert text.shape[1] == 3  # one sentence for each of three classes
        assert torch.equal(text, text[:1].expand_as(text))
        assert seen["known"].all()
        # The sentences differ, so that attention can distinguish them.
        assert torch.cdist(text[0], text[0]).fill_diagonal_(1).min() > 1e-3


def test_labels_reach_the_fused_heads_by_the_loss_alone(many_rhythms, monkeypatch):
    """With other labels in the same step, outputs of the heads are bitwise equal."""
    outputs, compared = [], []
    fuse, forward = Fusion.forward, DualBranchModel.forward

    def watched_fuse(*args):
        logits = fuse(*args)
        outputs.append(torch.stack(logits).detach())
        return logits

    def twice(model, batch):
        with torch.no_grad():
            forward(model, batch._replace(classes=batch.classes.roll(1)))
        terms = forward(model, batch)
        compared.append(torch.equal(*outputs[-2:]))
        return terms

    monkeypatch.setattr(Fusion, "forward", watched_fuse)
    monkeypatch.setattr(DualBranchModel, "forward", twice)
    classifier(text="auto").fit(*many_rhythms)  # prompts and captions
    assert compared and all(compared)


def test_captions_are_each_case_s_own(spy, many_rhythms):
    """The number of sentences and the words depend on the caption of the case."""
    X, y = many_rhythms
    n_sentences = 1 + np.arange(60) % 5
    words = "alpha beta gamma delta epsilon".split()
    texts = [
        " ".join(f"Case{case} is {word}." for word in words[:count])
        for case, count in enumerate(n_sentences)
    ]
    classifier().fit(X, y, text=texts)
    for seen in spy.seen:
        cases = seen["cases"][seen["batch"].segments.case].numpy()
        np.testing.assert_array_equal(seen["known"].sum(1), n_sentences[cases])
        first = seen["text"][:, 0]
        assert torch.cdist(first, first).fill_diagonal_(1).min() > 1e-3


def test_cases_with_equal_captions_are_given_equal_text(spy, many_rhythms):
    X, y = many_rhythms
    turns = np.arange(60) % 2
    classifier().fit(X, y, text=np.array(["An odd one.", "Even. And flat."])[turns])
    for seen in spy.seen:
        turn = turns[seen["cases"][seen["batch"].segments.case].numpy()]
        for kind in (0, 1):
            text = seen["text"][turn == kind][:, : 1 + kind]
            assert torch.equal(text, text[:1].expand_as(text))
        assert (seen["text"][turn == 0, 0] != seen["text"][turn == 1, 0][:1]).any()


def test_captions_follow_the_prompts_of_all_classes(spy, many_rhythms):
    classifier(text="auto").fit(*many_rhythms)
    for seen in spy.seen:
        prompts, captions = seen["text"][:, :3], seen["text"][:, 3:]
        assert torch.equal(prompts, prompts[:1].expand_as(prompts))
        assert not torch.equal(captions, captions[:1].expand_as(captions))


def test_about_half_of_the_texts_are_dropped(spy, many_rhythms):
    classifier(max_epochs=10).fit(*many_rhythms)
    share = torch.cat([seen["keep"] for seen in spy.seen]).double().mean()
    assert 0.4 < share < 0.6


def test_prediction_does_without_fusion(many_rhythms, monkeypatch):
    X, y = many_rhythms
    fitted = classifier().fit(X, y)
    expected = fitted.predict_proba(X)
    monkeypatch.setattr(Fusion, "forward", lambda *args: pytest.fail("fuses"))
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


def test_fused_heads_learn_and_teach(many_rhythms):
    X, y = many_rhythms
    history = classifier(max_epochs=20).fit(X, y).history_
    losses = [row["train_fused"] for row in history]
    assert np.mean(losses[-3:]) < 0.75 * losses[0]
