"""Parts of docstrings that several methods share."""

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
    Training series; see :func:`~sktext_vq.panel.as_panel` for all kinds.
""",
    "proba": """
ndarray of shape (n_cases, n_classes)
    Columns as in ``classes_``.
""",
    "raises_X": """
NotFittedError
    If `fit` was not called.
ValueError
    If X is not a panel with the channels of the training series.
""",
    "text_argument": """
text : array-like of shape (n_cases,) of str, optional
    Text about each case, which replaces other text. It describes the series: a text
    that names the class gives away what is to be learned.
""",
    "fit_arguments": """
sample_weight : array-like of shape (n_cases,), optional
    Weights of cases in training, in the selection of features and in the
    classifier. Only their ratios matter. Cases of weight 0 are ignored, and so is a
    class that has no others.
init : VQTextTransformer or VQTextClassifier, optional
    Fitted estimator with the same number of codes to start from: fitted to other
    series, perhaps with other channels, such as :func:`~sktext_vq.pretrain`
    returns; or to earlier series, to continue with new people. May be the estimator
    itself. See Notes of :func:`~sktext_vq.pretrain` for what is taken over.
checkpoint : path-like, optional
    File that training writes its state to, for long training. After each epoch, or
    a few if these are fast, it is replaced as a whole. If `fit` was killed, the
    same call resumes from there, on the same machine with the same result. The file
    remains: once training has ended, `fit` reads its result from the file. Remove
    it to train again. Needs an int as `random_state`.
""",
    "raises_fit": """
ValueError
    If X is not a panel or another argument does not match it, if there is only one
    class or group to classify, if a parameter or weight is invalid, or `checkpoint`
    is damaged or the file of another fit. The estimator is then as it was before
    the call.
NotFittedError
    If `init` is not fitted.
TypeError
    If `init` is not a VQTextTransformer or VQTextClassifier, or a parameter has the
    wrong type.
FloatingPointError
    If losses are not finite in the first epoch of training. Later, a
    ``ConvergenceWarning`` is raised, and the weights of an earlier epoch are kept.
    The same holds, with a warning, if training is interrupted (Ctrl-C).
OSError
    If `checkpoint` cannot be written.
""",
    "candidate_labels": """
candidate_labels : sequence of str, or dict
    Names of classes, or a dict from names to a text or a list of texts about each (None
    for the texts of the bank). Names of training classes stand for these classes,
    whatever their texts are. Candidates may change from call to call.
""",
    "raises_zero_shot": """
NotFittedError
    If `fit` was not called.
ValueError
    If there are no candidates, or a candidate occurs twice, or if training classes are
    not words, so that there are no texts to compare with.
TypeError
    If a candidate or its text is not a string.
""",
    "text_parameters": """
n_codes : int, default=64
    Number of codes in the codebook, in heads of 16 or more: each window is matched
    with one code of each head.
text : {"auto", "labels", "captions"}, dict or None, default="auto"
    Text to train with: captions of the series, and prompts of the classes where
    labels are words (``"auto"``); only one of these (``"labels"``, ``"captions"``);
    a dict from labels to a text or a list of texts; or None for training without
    text.
text_encoder : str, callable or TextEncoder, default="minilm"
    Computes embeddings of texts; see :class:`~sktext_vq.TextEncoder`.
prompt_forms : tuple of str, default=("keyword", "sentence", "affirmative")
    Forms of prompts that describe a class; see :class:`~sktext_vq.PromptBank`.
""",
    "other_parameters": """
max_epochs : int, default=20
    Maximum number of passes over the training series. With 50 cases or more, a
    fifth is held out for early stopping. 0 keeps the closed form, which takes
    seconds.
loss_weights : dict, optional
    Weights of single losses in training, by name, which replace their defaults; 0
    switches a loss off. See :mod:`sktext_vq.nn.losses` for available losses.
max_features : int, default=10000
    Maximum number of features to keep, ranked by F statistic. At most a third of
    all histogram features is kept.
channel_names : sequence of str, optional
    Names of channels, used in feature names and captions. By default the column
    names, if X consists of data frames that have some.
gravity : {"append", "replace"}, dict or None, default="append"
    Channels in a frame that gravity defines, which do not depend on how a device
    was turned about the vertical; see :class:`~sktext_vq.nn.GravityFrame`.
    ``"append"`` adds them to the axes of each sensor with three axes, if channel
    names such as ``acc_x``, ``acc_y`` and ``acc_z`` show the axes and one sensor
    shows the vertical. ``"replace"`` puts them in place of the axes, for sensors
    that may be worn elsewhere at prediction; it cannot distinguish postures by the
    axis that points up. A dict from names of sensors to three channels, by name or
    index, appends for these sensors. None adds no channels.
augment : dict, optional
    Changes to copies of the training series. Feature selection and ridge use them
    beside the series themselves; training of the network does not. ``"gain"``:
    standard deviation of the logarithm of a factor of each sensor's movement about
    its mean; ``"rotation"``: largest turn of a device, in degrees; ``"noise"``: in
    standard deviations of a channel; ``"dropout"``: probability that one sensor
    reads 0 throughout; ``"gap"``: largest share of a series that is missing in one
    stretch; ``"copies"``: number of copies of each series (1). Omitted sizes are 0.
    Time and memory of fitting grow with copies.
sampling_rate : float, optional
    Timepoints per second, for durations and rhythms in seconds.
random_state : int, RandomState or None, default=None
    Makes fits repeatable. Global random states are left alone.
device : str, default="auto"
    Torch device; ``"auto"`` is a GPU if there is one. With ``"accelerate"``,
    processes that ``accelerate launch`` has started with the same data train
    together, each on its device and with a part of every batch.
n_jobs : int or None, default=None
    Number of threads that share out the cases, as joblib counts them. None uses as
    many as torch may use (``torch.set_num_threads``), or as joblib's context
    specifies. If that context is a cluster of dask or ray, its workers share out
    the cases to predict or transform, unless `n_jobs` is 1.
verbose : int, default=0
    1 shows progress.
""",
    "attributes": """
codebook_ : ndarray of shape (n_codes, 8)
    Codes: shapes of mean 0 in units of their scale.
shapes_ : ndarray of shape (n_codes, 8)
    Shape of each code; the codes themselves in this version.
training_stage_ : {"closed form", "trained", "trained with text"}
    How codes and network were made.
history_ : list of dict
    Losses and seconds of each epoch of training.
codebook_use_ : dict
    How evenly both branches use the codes after training, and how much alike; see
    :meth:`sktext_vq.nn.Codebook.metrics`.
prompts_ : list of str or None
    Texts that the network was trained with; of each class the first.
channel_names_ : list of str
    Names of the channels.
channel_groups_ : dict
    Channels of the three axes of each sensor, by the name of the sensor.
n_channels_, n_timepoints_ : int
    Number of channels, and length of the longest training series.
n_features_in_ : int
    Timepoints for input of shape (n_cases, n_timepoints), else channels.
feature_names_in_ : ndarray of str
    Only for data frames of such input with column names.
""",
}
_PLACE = re.compile(r"^( *)\[\[(\w+)\]\]$", re.MULTILINE)


def fill_doc(documented: Documented) -> Documented:
    """Insert shared parts into the docstring of a class or function.

    A line ``[[name]]`` is replaced by the part of that name, at its indentation.
    """

    def insert(match: re.Match[str]) -> str:
        indent, name = match.groups()
        lines = PARTS[name].strip("\n").split("\n")
        return "\n".join(indent + line if line else line for line in lines)

    if documented.__doc__:  # None with python -OO
        documented.__doc__ = _PLACE.sub(insert, documented.__doc__)
    return documented


def fill_docs(cls: type) -> type:
    """Insert shared parts into the docstrings of a class and of its own methods."""
    fill_doc(cls)
    for member in vars(cls).values():
        if inspect.isfunction(member):
            fill_doc(member)
    return cls
