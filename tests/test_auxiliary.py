"""Optional parts of the network can be removed independently."""

import pytest

from sktext_vq import VQTextClassifier, nn
from sktext_vq.nn.auxiliary import MODULES
from sktext_vq.nn.losses import WEIGHTS

OFF = {name for name, weight in WEIGHTS.items() if weight == 0} | {"shape"}


def trained(data, **loss_weights):
    classifier = VQTextClassifier(
        n_codes=16,
        text_encoder="hashing",
        max_epochs=1,
        max_features=200,
        loss_weights=loss_weights,
        random_state=0,
    )
    return classifier.fit(*data)


def losses_of(classifier):
    row = classifier.history_[0]
    return {name.removeprefix("train_") for name in row} & set(WEIGHTS)


def test_each_loss_that_is_off_by_default_has_a_part():
    assert set().union(*MODULES.values()) == OFF


def test_default_training_needs_no_part(many_rhythms, monkeypatch):
    monkeypatch.setattr("sktext_vq.nn.auxiliary.load_module", pytest.fail)
    classifier = trained(many_rhythms)
    assert losses_of(classifier) == set(WEIGHTS) - OFF


@pytest.mark.parametrize("removed", MODULES)
def test_others_train_without_a_removed_part(many_rhythms, removed, monkeypatch):
    others = {name: MODULES[name] for name in MODULES if name != removed}
    monkeypatch.setattr("sktext_vq.nn.auxiliary.MODULES", others)
    classifier = trained(many_rhythms, **dict.fromkeys(OFF, 0.1))
    assert losses_of(classifier) == set(WEIGHTS) - MODULES[removed] - {"codebook"}


def test_networks_have_names_of_all_parts():
    for name in nn.__all__:
        assert getattr(nn, name).__module__.startswith("sktext_vq.nn.")
    assert nn.AttributeDecoder is nn.SegmentRefiner
    with pytest.raises(AttributeError, match="'Attention'"):
        _ = nn.Attention
