import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from tokenizers import Tokenizer, models, pre_tokenizers

from sktext_vq.text import FORMS, PromptBank, TextEncoder, are_words
from sktext_vq.text._bank import SCALES, packaged_bank
from sktext_vq.text._labels import as_phrase, stems
from sktext_vq.text.class_texts import texts_of_classes

# Spellings of labels in data sets, by label.
SPELLINGS = {
    "walking upstairs": [
        "WALKING_UPSTAIRS",
        "walking upstairs",
        "climbing stairs",
        "Ascending stairs",
        "StairsUp",
        "stairsup",
        "walk up the stairs",
        "Upstairs",
    ],
    "walking downstairs": ["WalkingDownstairs", "dws", "stairs-down"],
    "lying": ["LAYING", "lying_down", "Lie"],
    "stand to sit": ["STAND_TO_SIT", "StandToSit", "sit down"],
    "sit to stand": ["sit-to-stand", "stand up"],
    "rope jumping": ["rope_jumping", "Jump rope"],
    "vacuum cleaning": ["vacuum cleaning", "VacuumCleaning"],
    "badminton smash": ["Badminton_Smash"],
    "squash backhand boast": ["Squash_BackhandBoast"],
    "draw circle counterclockwise": ["right hand draw circle counter clockwise"],
    "knees to breast": ["Knees (alternatively) to the breast"],
    "fridge": ["Fridge/freezer", "refrigerators"],
    "premature ventricular contraction": ["PVC"],
    "watching television": ["watching TV"],
}


def tiny_writer(folder: Path) -> Path:
    """Save a small random GPT-2 with a tokenizer of words."""
    import transformers

    hf: Any = transformers  # has incomplete types
    words = ["<end>", "a", "slow", "fast", "arm", "swing", "of", "the", "leg", "and"]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="the"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="the", eos_token="<end>"
    ).save_pretrained(folder)
    config = hf.GPT2Config(
        vocab_size=len(words),
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=256,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        hf.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_of_a_label_find_its_entry(name: str) -> None:
    entry = packaged_bank()[name]
    for label in SPELLINGS[name]:
        found = PromptBank().prompts([label])[label]
        assert found["sentence"] == entry["sentence"], label
        assert PromptBank().knows(label)


def test_order_of_words_is_used() -> None:
    found = PromptBank().prompts(["sit to stand", "stand to sit"])
    assert found["sit to stand"]["sentence"] != found["stand to sit"]["sentence"]


def test_ambiguous_words_depend_on_their_context() -> None:
    bank = PromptBank()
    heart = bank.prompts(["normal", "myocardial infarction"])["normal"]["sentence"]
    shape = bank.prompts(["normal", "cyclic", "upward shift"])["normal"]["sentence"]
    assert heart == ["A normal heart beat."]
    assert "random" in shape[0]
    assert bank.prompts(["normal", "faulty"])["normal"]["sentence"] == [
        "This recording shows normal."
    ]
    assert bank.prompts(["six", "seven"])["six"]["keyword"] == ["six"]
    appliances = bank.prompts(["vacuum", "kettle", "toaster"])["vacuum"]
    assert "A vacuum cleaner is running." in appliances["sentence"]


def test_packaged_bank_is_valid() -> None:
    entries = packaged_bank()
    assert len(entries) >= 150
    seen: dict[tuple[str, tuple[str, ...]], str] = {}
    for name, entry in entries.items():
        assert len(entry["affirmative"]) >= 3, name
        assert len(entry["negative"]) >= 2, name
        if entry["domain"] in ("activity", "gesture"):
            assert len(entry["attributes"]) == len(SCALES), name
            assert len(entry["second_attributes"]) == 6, name
        else:
            assert 3 <= len(entry["attributes"]) <= 6, name
        assert len(entry["sentence"]) == len(entry["keyword"]) == 1, name
        for form in (*FORMS, "second_attributes"):
            for text in entry.get(form, []):
                assert text == " ".join(text.split()) and text.isascii(), name
                if form in ("sentence", "affirmative", "negative"):
                    assert re.fullmatch(r"['A-Z].*\.", text), text
        for spelling in (name, *entry["keyword"], *entry["aliases"]):
            key = (entry["domain"], stems(spelling))
            assert key[1], spelling
            assert seen.setdefault(key, name) == name, f"{spelling} is in two entries"
    sentences = [entry["sentence"][0] for entry in entries.values()]
    assert len(set(sentences)) == len(sentences)


def test_packaged_texts_agree_with_their_labels_in_minilm() -> None:
    labels = ["walking", "sitting", "cycling", "brushing teeth", "kettle", "clapping"]
    bank, encoder = PromptBank(), TextEncoder()
    names = encoder.transform(labels)
    texts, owner = bank.flat(labels, ["sentence", "affirmative"])
    vectors = encoder.transform(texts)
    means = np.stack([vectors[owner == i].mean(axis=0) for i in range(len(labels))])
    assert (names @ means.T).argmax(axis=1).tolist() == list(range(len(labels)))


@given(
    st.lists(
        st.text(min_size=1, max_size=30).filter(str.strip),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_every_label_gets_every_form(labels: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = PromptBank().prompts(labels)
    assert list(found) == labels
    for by_form in found.values():
        assert tuple(by_form) == FORMS
        assert all(texts for texts in by_form.values())
        assert all(text.strip() for texts in by_form.values() for text in texts)


def test_templates_are_grammatical_and_describe_attributes() -> None:
    found = PromptBank().prompts(["kick a door", "GaugeDrift", "slow walking"])
    assert found["kick a door"]["sentence"] == ["A person is kicking a door."]
    assert "distinct impacts and peaks" in found["kick a door"]["attributes"]
    assert found["GaugeDrift"]["sentence"] == ["This recording shows gauge drift."]
    assert found["slow walking"]["sentence"] == ["A person is slow walking."]
    attributes = found["slow walking"]["attributes"]
    assert "regular rhythm of about 1.4 cycles per second" in attributes
    assert "main motion forward steps with a small vertical bounce" in attributes
    for other in ("gauge drift", "slow walking"):
        assert other in found["kick a door"]["negative"][0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("jogging", "jogging"),
        ("A person is jogging.", "jogging"),
        ("Somebody slowly walks on a path", "walking"),
        ("a light jog", "jogging"),
        ("He climbs the stairs to the roof.", "walking upstairs"),
        ("Jogging: running slowly, with a thud at each step.", "jogging"),
        ("The person is not walking but standing.", "standing"),
        ("Standing around without moving, unlike walking", "standing"),
    ],
)
def test_a_text_that_names_an_activity_has_its_attributes(text: str, name: str) -> None:
    bank = PromptBank({"activity 6": text})
    found = bank.clauses(["activity 6"])["activity 6"]
    expected = PromptBank().clauses([name])[name]
    assert found["posture"] == expected["posture"]
    assert found["impact"] == expected["impact"]
    assert name in bank.prompts(["activity 6"])["activity 6"]["keyword"]


@pytest.mark.parametrize(
    "text",
    [
        "The legs swing in turn and each foot meets the ground.",
        "It moves in place beside the car.",
        "This is not walking.",
        "A person who isn't running.",
        "Nobody is walking.",
        "neither walking nor running",
        "the person is not-walking",
    ],
)
def test_a_text_without_an_activity_has_no_attributes(text: str) -> None:
    found = PromptBank({"activity 6": text}).clauses(["activity 6"])["activity 6"]
    assert len(found) < 6


def test_both_authors_describe_an_activity() -> None:
    def impacts(texts: dict[str, str]) -> list[str]:
        found = texts_of_classes(["walking"], texts, ["sentence"])
        return [text for view, _, text in found if view == "impact"]

    both = ["light taps or small jerks", "distinct impacts and peaks"]
    assert impacts({}) == both
    assert impacts({"walking": "A person sits."}) == ["smooth, without any impact"]
    # One word may determine attributes on several scales.
    found = PromptBank().clauses(["stomping"])["stomping"]
    assert found == {
        "strength": "strong movement of large size",
        "impact": "hard impacts with very high peaks",
    }


def test_a_text_takes_precedence_over_the_name() -> None:
    def clauses(name: str, text: Any) -> dict[str, str]:
        return PromptBank({name: text}).clauses([name])[name]

    bank = PromptBank().clauses(["jogging", "sitting", "running"])
    assert clauses("jogging", "A person sits on a chair.") == bank["sitting"]
    # Attributes that a text does not describe are taken from the prompt bank.
    assert clauses("jogging", "As one does before work.") == bank["jogging"]
    assert clauses("jogging", "Very gentle.") == bank["jogging"] | {
        "strength": "gentle movement of small size",
        "hand movement": "gentle movement of small amplitude of the hand",
    }
    # "Slow" is relative to the activity.
    slow = clauses("activity 6", "A person runs at a slow steady pace.")
    assert slow == bank["running"] | {
        "rhythm": "regular rhythm of about 2.2 cycles per second"
    }
    # Negated words are ignored, and given attributes are not changed.
    assert clauses("jogging", "Felt nowhere, not at the hand.") == bank["jogging"]
    own = {"attributes": ["odd"], "sentence": ["A person sits."]}
    assert clauses("jogging", own) == {"own": "odd"}


def test_unknown_labels_are_errors_without_templates() -> None:
    with pytest.raises(LookupError, match="GaugeDrift"):
        PromptBank(templates=False).prompts(["walking", "GaugeDrift"])
    with pytest.raises(LookupError, match="walking"):
        PromptBank(packaged=False, templates=False).prompts(["walking"])


@pytest.mark.parametrize(
    ("labels", "answer"),
    [
        (["WALKING", "climbing stairs"], True),
        (np.array(["walking", "sitting"]), True),
        (["走路", "坐着"], True),
        (["Up", "Down"], True),
        (["PVC", "TV"], True),
        (["1", "2"], False),
        ([1, 2], False),
        (["c1", "c2"], False),
        (["class 1", "Class_2"], False),
        (["1.0", "nan"], False),
        (["walking", "7"], False),
        ([True, False], False),
        (["mi", "xq"], False),
        ([], False),
    ],
)
def test_are_words(labels: Any, answer: bool) -> None:
    assert are_words(labels) is answer


def test_own_texts_come_first_and_the_rest_is_kept() -> None:
    bank = PromptBank.from_texts(
        {
            "walking": "A dog walks on a beach.",
            "c1": ["The pump runs.", "The motor hums evenly."],
            "sit": {"keyword": "seat", "negative": ["No steps."]},
        }
    )
    found = bank.prompts(["WALKING", "c1", "sitting"])
    packaged = packaged_bank()
    assert found["WALKING"]["sentence"] == ["A dog walks on a beach."]
    assert found["WALKING"]["affirmative"] == ["A dog walks on a beach."]
    assert found["WALKING"]["attributes"] == packaged["walking"]["attributes"]
    assert found["c1"]["sentence"] == ["The pump runs."]
    assert found["c1"]["affirmative"] == ["The pump runs.", "The motor hums evenly."]
    assert found["c1"]["keyword"] == ["The pump runs"]
    assert found["sitting"]["keyword"] == ["seat"]
    assert found["sitting"]["negative"] == ["No steps."]
    assert found["sitting"]["sentence"] == packaged["sitting"]["sentence"]
    assert bank.knows("c1") and not bank.knows("c2")


def test_own_texts_of_labels_that_differ_in_punctuation() -> None:
    own = {"C++": "one", "C#": "two", "x>0": "above", "x<0": "below", "🏃": "run"}
    found = PromptBank(own).prompts([*own, "C", "x"])
    for label, text in own.items():
        assert found[label]["sentence"] == [text]
    assert not {*own.values()} & {*found["C"]["affirmative"], *found["x"]["sentence"]}
    assert as_phrase("C++") == "C++"
    assert as_phrase("walking (fast)") == "walking fast"
    # Labels do not differ by characters that separate words.
    assert PromptBank({"on/off": "x"}).knows("ON_OFF")
    assert PromptBank({"cafe\u0301": "x"}).knows("caf\u00e9")


def test_labels_with_the_same_prompts_give_one_warning() -> None:
    labels = ["walk", "WALKING", "run", "running", "Run"]
    with pytest.warns(UserWarning, match="have the same prompts") as caught:
        PromptBank().prompts(labels)
    assert len(caught) == 1
    assert "'walk' and 'WALKING'; 'run', 'running' and 'Run'" in str(caught[0].message)


def test_changing_returned_prompts_does_not_change_the_bank() -> None:
    bank = PromptBank()
    bank.prompts(["walking"])["walking"]["sentence"].append("changed")
    assert "changed" not in bank.prompts(["walking"])["walking"]["sentence"]


def test_flat_has_owners_and_no_repeats() -> None:
    bank = PromptBank({"a1": "One text.", "walking": {"sentence": ["S.", "T."]}})
    texts, owner = bank.flat(["a1", "walking"], ["sentence", "affirmative"])
    assert texts[:3] == ["One text.", "S.", "T."]
    assert owner.tolist()[:3] == [0, 1, 1]
    assert len(texts) == len(owner) == 6
    assert bank.flat(["a1"], "sentence")[0] == ["One text."]
    with pytest.raises(ValueError, match="Unknown form 'poem'"):
        bank.flat(["a1"], ["poem"])
    with pytest.raises(ValueError, match="form"):
        bank.flat(["a1"], [])


def test_texts_are_saved_to_files(tmp_path: Path) -> None:
    own = {"走路": "A person walks.", "sit": {"negative": ["No steps."]}}
    file = PromptBank(own).to_json(tmp_path / "bank.json")
    assert "走路" in file.read_text("utf-8")
    again = PromptBank.from_json(file)
    labels = ["走路", "sit", "run"]
    assert again.prompts(labels) == PromptBank(own).prompts(labels)
    assert PromptBank(file).prompts(labels) == again.prompts(labels)
    everything = PromptBank(own).to_json(tmp_path / "all.json", labels)
    alone = PromptBank.from_json(everything, packaged=False, templates=False)
    assert alone.prompts(labels) == again.prompts(labels)
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(own), "utf-8")
    assert PromptBank.from_json(plain).prompts(labels) == again.prompts(labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "not a JSON file"),
        ("[1]", "does not contain texts for labels"),
        ('{"a": "x", "a": "y"}', "contains 'a' more than once"),
        (
            '{"format": "sktext_vq prompt bank", "version": 99, "entries": {}}',
            "Upgrade",
        ),
        ('{"a": []}', "no texts for label 'a'"),
    ],
)
def test_invalid_files(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bank.json"
    file.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=message):
        PromptBank.from_json(file)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ("walking", TypeError, "sequence of strings"),
        ([1], TypeError, "Provide texts"),
        (["a", " "], ValueError, "empty"),
        (["a", "a"], ValueError, "contains 'a' more than once"),
        ([], ValueError, "labels is empty"),
    ],
)
def test_invalid_labels(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PromptBank().prompts(labels)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (["walking"], TypeError, "must be a dict"),
        ({"a": 3}, TypeError, "Texts for label 'a' must be strings"),
        ({"a": ["x", None]}, TypeError, "must be strings"),
        ({"a": ""}, ValueError, "empty"),
        ({"a": ["x", "x"]}, ValueError, "contain 'x' more than once"),
        ({"a": {"poem": "x"}}, ValueError, "Unknown form"),
        ({"a": {}}, ValueError, "no texts"),
        ({"walk": "x", "Walking": "y"}, ValueError, "in different spellings"),
    ],
)
def test_invalid_texts(texts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PromptBank.from_texts(texts)
    with pytest.raises(error, match=message):
        PromptBank(texts).prompts(["a"])


def test_a_function_can_write_prompts(tmp_path: Path) -> None:
    asked: list[str] = []

    def write(prompt: str) -> str:
        asked.append(prompt)
        if "not" in prompt:
            return " \n123\n"
        return '1. "A slow arm swing."\n- The leg rests.\n- The leg rests.\n\n'

    file = tmp_path / "written.json"
    bank = PromptBank.from_llm(write, ["paddling", "dozing"], cache=file)
    found = bank.prompts(["paddling"])["paddling"]
    assert found["sentence"] == ["A slow arm swing."]
    assert found["affirmative"] == ["A slow arm swing.", "The leg rests."]
    assert found["negative"] == packaged_bank()["rowing"]["negative"]
    assert any("paddling" in prompt for prompt in asked)

    asked.clear()
    again = PromptBank.from_llm("no/such/model", ["dozing"], cache=file)
    assert again.prompts(["dozing"]) == bank.prompts(["dozing"])
    PromptBank.from_llm(write, ["dozing", "snoring"], cache=file)
    assert asked and all("snoring" in prompt for prompt in asked)
    assert set(json.loads(file.read_text())["entries"]) == {
        "paddling",
        "dozing",
        "snoring",
    }


def test_a_local_model_can_write_prompts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers import pipeline

    folder = tiny_writer(tmp_path / "model")
    capfd.readouterr()
    bank = PromptBank.from_llm(
        folder, ["paddling"], cache=tmp_path / "a.json", max_new_tokens=5
    )
    assert capfd.readouterr() == ("", "")
    found = bank.prompts(["paddling"])["paddling"]
    assert 1 <= len(found["sentence"][0].split()) <= 5
    writer = pipeline("text-generation", model=str(folder), device="cpu")
    other = PromptBank.from_llm(
        writer, ["paddling"], cache=tmp_path / "b.json", max_new_tokens=5
    )
    assert other.prompts(["paddling"]) == bank.prompts(["paddling"])


def test_missing_model(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no/such/model"):
        PromptBank.from_llm("no/such/model", ["a"], cache=tmp_path / "a.json")
    with pytest.raises(TypeError, match="language model must be"):
        PromptBank.from_llm(3, ["a"], cache=tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_is_a_scikit_learn_estimator() -> None:
    bank = PromptBank({"a": "x"}, templates=False)
    assert clone(bank).get_params() == bank.get_params()


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"format": "x"', b"[" * 10**5])
def test_errors_name_invalid_json_files(tmp_path, content):
    path = tmp_path / "bank.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bank\.json is not a JSON file"):
        PromptBank.from_json(path)


def test_invalid_version(tmp_path):
    path = tmp_path / "bank.json"
    head = {"format": "sktext_vq prompt bank", "version": "two", "entries": {}}
    path.write_text(json.dumps(head))
    with pytest.raises(ValueError, match="version 'two'"):
        PromptBank.from_json(path)


def test_unpaired_surrogates_are_saved(tmp_path):
    bank = PromptBank({"odd \ud800": "a text", "\N{GRINNING FACE}": "another"})
    again = PromptBank.from_json(bank.to_json(tmp_path / "bank.json"))
    assert again.prompts(["odd \ud800"]) == bank.prompts(["odd \ud800"])


def test_long_labels_are_parsed_in_linear_time():
    label = "walk or run " * 1000
    prompts = PromptBank().prompts([label, "a" * 10_000])
    assert len(prompts) == 2
    assert PromptBank().clauses([label])[label]
    assert PromptBank({"a": "door handle " * 1000}).clauses(["a"]) == {"a": {}}


def test_labels_are_a_sequence():
    for labels in (None, 3):
        with pytest.raises(TypeError, match="labels must be a sequence"):
            PromptBank().prompts(labels)


@pytest.mark.parametrize(
    "label",
    [
        "not walking",
        "no running",
        "non-walking",
        "not_walking",
        "not-walking",
        "non-walk",
    ],
)
def test_negated_labels_have_no_attributes_of_the_activity(label: str) -> None:
    found = PromptBank().clauses([label])[label]
    name = "running" if "running" in label else "walking"
    assert not set(found.values()) & set(PromptBank().clauses([name])[name].values())


@pytest.mark.parametrize("label", ["non-stop running", "walking, non-dominant wrist"])
def test_words_that_begin_with_non_are_no_negations(label: str) -> None:
    name = "running" if "running" in label else "walking"
    found, expected = PromptBank().clauses([label, name]).values()
    assert found["posture"] == expected["posture"]


def test_generated_prompts_of_other_spellings_are_reused(tmp_path: Path) -> None:
    asked: list[str] = []

    def write(prompt: str) -> str:
        asked.append(prompt)
        return "" if "lounging" in prompt else "2 steps per second\n- 1.9 Hz\n1.A walk."

    file = tmp_path / "written.json"
    PromptBank.from_llm(write, ["walking", "lounging"], cache=file)
    asked.clear()
    bank = PromptBank.from_llm(write, ["WALKING"], cache=file)
    assert not asked
    texts = bank.prompts(["WALKING"])["WALKING"]["affirmative"]
    assert texts == ["2 steps per second", "1.9 Hz", "A walk."]
    PromptBank.from_llm(write, ["lounging"], cache=file)  # is generated again
    assert asked and PromptBank.from_json(file).knows("walking")


def test_prompts_of_alike_labels_are_not_written(tmp_path: Path) -> None:
    file = tmp_path / "bank.json"
    with pytest.raises(ValueError, match="different spellings"):
        PromptBank().to_json(file, ["walk", "walking"])
    assert not file.exists()


def test_gerunds_of_verbs_with_two_syllables() -> None:
    found = PromptBank().prompts(["open valve", "iron shirt", "hop wall"])
    sentences = [each["sentence"][0] for each in found.values()]
    assert sentences == [
        "A person is opening valve.",
        "A person is ironing shirt.",
        "A person is hopping wall.",
    ]
