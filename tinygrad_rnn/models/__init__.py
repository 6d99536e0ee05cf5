"""Models: n-grams, windows, recurrent ones, translators, captioners, labels, poses, VGG, ResNet."""

from tinygrad_rnn.models import smoothing
from tinygrad_rnn.models.adapting import CachePointer, DynamicEvaluation, mean_squares
from tinygrad_rnn.models.answerer import Answerer
from tinygrad_rnn.models.captioner import Captioner
from tinygrad_rnn.models.dialogue import Dialogue
from tinygrad_rnn.models.fixed_window import FixedWindow
from tinygrad_rnn.models.gaze import GazeDirections
from tinygrad_rnn.models.language_model import LanguageModel
from tinygrad_rnn.models.navigator import Navigator
from tinygrad_rnn.models.ngram import NGram
from tinygrad_rnn.models.path_matcher import PathMatcher
from tinygrad_rnn.models.poses import PoseFeatures, PoseForecast, VideoJoints
from tinygrad_rnn.models.resnet import ResNet
from tinygrad_rnn.models.saving import load
from tinygrad_rnn.models.seq2seq import Seq2Seq
from tinygrad_rnn.models.text_labels import TextLabels
from tinygrad_rnn.models.text_model import Score, TextModel
from tinygrad_rnn.models.translator import Translation
from tinygrad_rnn.models.vgg import VGG
from tinygrad_rnn.models.video import S2VT, MeanPooling
from tinygrad_rnn.models.video_labels import VideoLabels

__all__ = [
    "S2VT", "VGG", "Answerer", "CachePointer", "Captioner", "Dialogue", "DynamicEvaluation",
    "FixedWindow", "GazeDirections", "LanguageModel", "MeanPooling", "NGram", "Navigator",
    "PathMatcher", "PoseFeatures", "PoseForecast", "ResNet", "Score", "Seq2Seq", "TextLabels",
    "TextModel", "Translation", "VideoJoints", "VideoLabels", "load", "mean_squares", "smoothing",
]  # fmt: skip
