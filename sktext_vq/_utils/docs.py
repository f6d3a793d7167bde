"""Docstring parts shared by several classes or methods."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypeVar

Documented = TypeVar("Documented", bound=Any)

PARTS = {
    "X": """
X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
    Series with the channels of the training series.
""",
    "X_train": """
X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
    Training series; see :func:`~sktext_vq.panel.as_panel` for accepted types.
""",
    "parameters_X": """
Parameters
----------
[[X]]
""",
    "parameters_candidates": """
Parameters
----------
[[X]]
[[candidate_labels]]
""",
    "raises_X": """
Raises
------
NotFittedError
    If `fit` was not called.
ValueError
    If X is not a panel with the channels of the training series.
""",
    "text_argument": """
text : array-like of shape (n_cases,) of str, optional
    Description of each series, used in training instead of the texts selected by
    the parameter `text` of the estimator. A description that contains the name of
    the class leaks the label.
""",
    "fit_arguments": """
sample_weight : array-like of shape (n_cases,), optional
    Weights of the cases in feature selection, in the classifier and in training. Only
    the ratios of the weights matter. Cases with weight 0 and classes in which all cases
    have weight 0 are ignored.
init : VQTextTransformer, VQTextClassifier or "wearables", optional
    Fitted estimator with the same `n_codes`, for a warm start: either the result of
    :func:`~sktext_vq.pretrain`, which may have different channels, or an estimator that
    was fitted to earlier series, including this estimator itself. The Notes of
    :func:`~sktext_vq.pretrain` describe which parts are reused. A classifier of series
    from body-worn sensors also accepts ``"wearables"`` or a base model from
    :func:`~sktext_vq.wearables.load_base`. The scores of a base model for the class
    names are added to the log-probabilities, with a weight that decreases with the
    number of cases; see :doc:`/wearables`. A base model requires `channel_names`,
    `sampling_rate`, and labels that are words.
checkpoint : path-like, optional
    File in which the training state is saved so that long fits can be resumed. The file
    is replaced atomically after each epoch, or every few epochs if epochs are short. If
    the process is killed, the same call resumes training from the file, with the same
    result on the same machine. The file is kept after training, and the same call then
    reads the result from the file; delete the file to train again. Requires an int as
    `random_state`.
""",
    "about_zero_shot": """
Warns
-----
UserWarning
    If candidates have equal texts, or texts that are not similar to the texts of any
    training class; if a candidate may be a misspelled class name; or if there is only
    one candidate.

Notes
-----
Kernel ridge regression predicts embeddings of unseen classes from their texts.
Calibrated stacking (Chao et al., ECCV 2016) balances seen and unseen classes. The
probability of the unknown label is calibrated with held-out training classes, so that
it exceeds 0.5 for 5 % of the series that are similar to the training series. If new
series come from different groups, such as different people, pass `groups` to `fit`.

Examples
--------
>>> from sktext_vq import VQTextClassifier
>>> from sktext_vq.datasets import load
>>> data = load("BasicMotions")
>>> recorded = data.y_train != "walking"
>>> model = VQTextClassifier(random_state=0)
>>> model = model.fit(data.X_train[recorded], data.y_train[recorded])
>>> names = ["badminton", "running", "standing", "walking"]
>>> found = model.predict_zero_shot(data.X_test, names)
>>> bool((found == data.y_test).mean() > 0.7)
True
""",
    "raises_fit": """
Raises
------
ValueError
    If X is not a panel or another argument does not match X; if a classifier is
    fitted to fewer than two classes or groups; if a parameter or weight is invalid;
    or if `checkpoint` is damaged or belongs to another fit. The estimator is then
    unchanged.
NotFittedError
    If `init` is not fitted.
TypeError
    If `init` is not a VQTextTransformer, VQTextClassifier or base model, or a
    parameter has the wrong type.
OSError
    If `checkpoint` cannot be written.
""",
    "candidate_labels": """
candidate_labels : sequence of str, or dict
    Class names, or a dict that maps class names to a text or a list of texts about the
    class (None for the texts of the prompt bank). The texts of training classes are
    ignored. Candidates may differ between calls.
""",
    "unknown_label": """
unknown_label : str, optional
    Label for series that resemble neither a candidate nor a training class. A base
    model also assigns this label to activities that are not among the candidates.
""",
    "raises_zero_shot": """
Raises
------
NotFittedError
    If `fit` was not called.
ValueError
    If `candidate_labels` is empty, if a candidate occurs twice, or if the training
    labels are not words and no texts about the training classes were given.
TypeError
    If a candidate or its text is not a string.
""",
    "contributions": """
Parameters
----------
[[X]]
label : object, optional
    Class to explain; by default the most probable class of each series.
against : object, optional
    Class to compare with; by default the most probable other class.

Returns
-------
DataFrame
    One row per token, sorted by contribution within each series. The columns are
    ``case``, ``label`` and ``against``; ``channel``, ``channel_name``, ``start``,
    ``length`` and ``code`` of the token, as in :meth:`tokens`; ``phrase``, a
    description of the token; and ``contribution``. The contributions of a series sum to
    the log-odds of `label` over `against`. Rows with code -1 contain the contributions
    of channel statistics, of timepoints between tokens and, in the last row, of the
    intercept, which is the log-odds of an average series. Contributions are relative
    to averages over the training series. If `fit` was called with a base model, its
    scores are not included, and a warning is issued.

[[raises_X]]

Examples
--------
>>> from sktext_vq import VQTextClassifier
>>> from sktext_vq.datasets import load
>>> data = load("BasicMotions")
>>> model = VQTextClassifier(random_state=0)
>>> model = model.fit(data.X_train, data.y_train)
>>> table = model.explain(data.X_test[:1])
>>> table["label"][0], table["against"][0]
('standing', 'badminton')
""",
    "importances": """
Parameters
----------
[[X]]
    Preferably series that were not used in `fit`.
y : array-like of shape (n_cases,)
    True labels.
n_repeats : int, default=30
    Number of permutations of each channel.
random_state : int, RandomState or None, default=None
    Seed or random number generator for the permutations.
scoring : str, callable or None, default=None
    Scorer, as in :func:`sklearn.inspection.permutation_importance`. The default is
    accuracy. A callable may use only the predictions, not the series.

Returns
-------
DataFrame
    One row per channel. The channels of a sensor with several channels are preceded by
    a row for the sensor. Sensors are defined by the parameter `gravity` and by channel
    names such as ``acc_x``. The columns are ``sensor`` and ``channel``, the names
    (``channel`` is empty for a sensor); ``importance``, the score minus the mean score
    after permutation; and ``std``, the standard deviation over permutations.

Raises
------
NotFittedError
    If `fit` was not called.
ValueError
    If X is not a panel with the channels of the training series, or y or a parameter
    is invalid.

Notes
-----
Permutation importance (Breiman, Machine Learning 2001): the contribution of a channel
to the log-odds of a case is replaced by its contribution for another case. The model is
not refitted. If channels are correlated, the model can use the other channels: the
importances of individual channels may then be small although the importance of the
sensor is large. A channel of the gravity frame is permuted together with each of the
axes from which it is computed.

Examples
--------
>>> from sktext_vq import VQTextClassifier
>>> from sktext_vq.datasets import load
>>> data = load("BasicMotions")
>>> model = VQTextClassifier(
...     channel_names=data.channel_names, random_state=0
... )
>>> model = model.fit(data.X_train, data.y_train)
>>> table = model.channel_importances(data.X_test, data.y_test, random_state=0)
>>> table.columns.tolist()
['sensor', 'channel', 'importance', 'std']
>>> table["sensor"].unique().tolist()
['acc', 'gyro']
""",
    "texts": """
texts : sequence of str, shape (n_texts,)
    Descriptions of classes or of individual series.
""",
    "raises_texts": """
Raises
------
NotFittedError
    If `fit` was not called.
TypeError
    If a text is not a string.
ValueError
    If a text is empty, or if the estimator was fitted without text.
""",
    "text_parameters": """
n_codes : int, default=64
    Number of codes in the codebook. The codes are divided into heads of at least 16
    codes, and each window is assigned one code from each head.
text : {"auto", "labels", "captions"}, dict or None, default="auto"
    Texts with which series are compared. ``"auto"`` uses captions of the series and, if
    labels are words, prompts of the classes; ``"labels"`` uses only prompts, and
    ``"captions"`` only captions. A dict that maps labels to a text or a list of texts
    describes the classes. If None, texts are not used.
text_encoder : str, callable or TextEncoder, default="minilm"
    Encoder for embeddings of texts; see :class:`~sktext_vq.TextEncoder`.
prompt_forms : tuple of str, default=("keyword", "sentence", "affirmative")
    Forms of prompts that describe a class; see :class:`~sktext_vq.PromptBank`.
""",
    "other_parameters": """
max_epochs : int, default=0
    Maximum number of epochs of training by gradient descent. By default, the model is
    only fitted in closed form. Training starts from the closed-form solution and
    updates the classifier, the embedding space of texts about individual series, and
    the prediction of code shares from texts. For each of these parts, the epoch with
    the lowest loss on a held-out fifth of the cases (of the groups, if `groups` are
    given) is selected, which may be epoch 0. The model is then trained on all cases for
    the selected numbers of epochs. With fewer than 50 cases, the closed-form solution
    is kept. See `loss_weights` for further losses.
loss_weights : dict, optional
    Weights of training losses by name, which replace the default weights. A weight of
    0 disables a loss. See :mod:`sktext_vq.nn.losses` for the available losses.
max_features : int, default=10000
    Maximum number of features to keep. With labels or targets, features are ranked by
    F statistic, and at most a third of the histogram and match features is kept.
    Otherwise, features are ranked by variance. Classifiers with at most 30 features
    select them one after another, so that each complements those selected before.
channel_names : sequence of str, optional
    Names of the channels, used in feature names and captions. By default, the column
    names are used if X consists of data frames with column names.
gravity : {"append", "replace"}, dict or None, default="append"
    Whether to add channels in a frame of reference defined by gravity, which do not
    depend on the rotation of a device about the vertical; see
    :class:`~sktext_vq.nn.GravityFrame`. ``"append"`` adds these channels for each
    sensor with three axes, if the channels have names such as ``acc_x``, ``acc_y`` and
    ``acc_z`` and the vertical can be estimated from one sensor. ``"replace"`` also
    removes the axes, for sensors that may be worn in a different position at prediction
    time; postures can then no longer be distinguished by the axis that points up. A
    dict that maps sensor names to three channels, by name or index, adds channels for
    these sensors. None adds no channels. A classifier that is fitted with at least
    eight `groups` omits the features of added channels if this increases the accuracy
    on held-out groups by more than 0.01 and more than one standard error.
augment : dict, optional
    Data augmentation: randomly modified copies of the training series are added to the
    training cases. The dict contains the sizes of the changes, which are 0 by default.
    ``"gain"``: standard deviation of the logarithm of the factor by which each sensor's
    deviations from its mean are multiplied; ``"rotation"``: maximum rotation of a
    device, in degrees; ``"noise"``: standard deviation of white noise, relative to the
    standard deviation of the channel; ``"dropout"``: probability that all values of one
    sensor are set to 0; ``"gap"``: maximum length of a gap, as a share of the series;
    ``"copies"``: number of copies of each series (1 by default). The time and memory
    required by `fit` grow with the number of copies.
sampling_rate : float, optional
    Number of timepoints per second, used to express durations in seconds.
random_state : int, RandomState or None, default=None
    Seed or random number generator. Pass an int for reproducible results. Global random
    states are not changed.
device : str, default="auto"
    Torch device; ``"auto"`` selects a GPU if one is available.
n_jobs : int or None, default=None
    Number of threads, as in joblib. None means the number of jobs of the joblib
    context or, without a context, the number of threads of torch
    (``torch.set_num_threads``). With a dask or ray context, prediction and
    transformation run on the workers of the cluster unless `n_jobs` is 1.
verbose : int, default=0
    Verbosity level. If 1, progress is displayed.
""",
    "attributes": """
codebook_ : ndarray of shape (n_codes, 8)
    Codes of the codebook: shapes with mean 0, divided by their scale.
shapes_ : ndarray of shape (n_codes, 8)
    Decoded shape of each code; equal to `codebook_` in this version.
training_stage_ : {"closed form", "trained", "trained with text"}
    Stage of training.
history_ : list of dict
    Losses and duration in seconds of each training epoch.
codebook_use_ : dict
    Evenness of code usage in the series branch and the text branch after training,
    and similarity of the usage in both branches; see
    :meth:`sktext_vq.nn.Codebook.metrics`.
prompts_ : list of str or None
    Texts with which series are compared: the first prompt of each class or, without
    prompts, sentences about series.
channel_names_ : list of str
    Names of the channels.
channel_groups_ : dict
    Indices of the three axes of each sensor, by sensor name.
n_channels_, n_timepoints_ : int
    Number of channels and length of the longest training series.
n_features_in_ : int
    Number of timepoints for input of shape (n_cases, n_timepoints), otherwise number
    of channels.
feature_names_in_ : ndarray of str
    Column names, only for data frames of shape (n_cases, n_timepoints).
""",
    "ax": """
ax : Axes, optional
    Axes to be replaced by the display. Constrained layout is used if the figure has no
    layout engine. By default, a new figure is created.
""",
    "plot": """
Parameters
----------
[[ax]]

Returns
-------
Self
    The display.
""",
    "raises_estimator": """
TypeError
    If `estimator` is not a VQTextClassifier or VQTextTransformer.
NotFittedError
    If the estimator is not fitted.
""",
    "single_ax": """
ax : Axes, optional
    Axes to plot on. By default, a new figure is created.
""",
    "cmap": """
cmap : str or Colormap, default="PuOr_r"
    Colormap whose middle colour represents the mean.
""",
    "lifts": """
codes : array-like of shape (n_shown,), optional
    Indices of the codes to show; by default ``range(n_shown)``.
shapes : ndarray of shape (n_shown, n_points), optional
    Shapes of the codes to show.
n_codes : int, optional
    Number of codes in the codebook; by default the number of codes shown.

Attributes
----------
ax_ : Axes
    Axes with the heat map.
figure_ : Figure or SubFigure
    Figure that contains the axes.
image_ : AxesImage
    Heat map.
shapes_ : LineCollection or None
    Shapes of the labelled codes.
colorbar_ : Colorbar
    Colour bar of the heat map, labelled with factors.
""",
    "series_display": """
channel_names : sequence of str, optional
    Names of all channels.
channels : sequence of int, optional
    Channels to plot. By default, all channels are plotted if they fit into the axes (a
    new figure has room for 24). Otherwise, the first channels are plotted or, for an
    explanation, the channels with the largest contributions.
sampling_rate : float, optional
    Number of timepoints per second, for a time axis in seconds.
title : str, optional
    Title of the figure.
""",
}
_PLACE = re.compile(r"^( *)\[\[(\w+)\]\]$", re.MULTILINE)


def fill_doc(documented: Documented) -> Documented:
    """Insert shared parts into the docstring of a class or function.

    A line ``[[name]]`` is replaced by the part of that name, with the same indentation.
    """

    def insert(match: re.Match[str]) -> str:
        indent, name = match.groups()
        lines = _PLACE.sub(insert, PARTS[name].strip("\n")).split("\n")
        return "\n".join(indent + line if line else line for line in lines)

    if documented.__doc__:  # None with python -OO
        documented.__doc__ = _PLACE.sub(insert, documented.__doc__)
    return documented


def fill_docs(cls: type) -> type:
    """Insert shared parts into the docstrings of a class and its methods."""
    fill_doc(cls)
    for member in vars(cls).values():
        function = getattr(member, "__func__", member)  # class methods wrap functions
        if inspect.isfunction(function):
            fill_doc(function)
    return cls
