"""Looking into trained networks: what units do, where gradients come from, how far they reach."""

from tinygrad_rnn.inspect.activations import Activations, Row, activations
from tinygrad_rnn.inspect.alignment import Alignment, alignment, page_of_alignments
from tinygrad_rnn.inspect.cells import FoundCell, find_cells
from tinygrad_rnn.inspect.chart import Chart, Line, line_chart, page_of_charts
from tinygrad_rnn.inspect.conversation import (
    Conversation,
    page_of_conversations,
    picture_of_conversations,
)
from tinygrad_rnn.inspect.emphasis import (
    Emphasis,
    emphasis,
    page_of_emphases,
    picture_of_emphases,
)
from tinygrad_rnn.inspect.film import FilmStrip, page_of_films, picture_of_films
from tinygrad_rnn.inspect.frame import framed
from tinygrad_rnn.inspect.gallery import gallery
from tinygrad_rnn.inspect.gate_charts import draw_memory, draw_saturation
from tinygrad_rnn.inspect.gates import Memory, Saturation, memory, saturation
from tinygrad_rnn.inspect.gaze import Gaze, gaze, page_of_gazes, picture_of_gazes
from tinygrad_rnn.inspect.gradient_flow import gradient_map
from tinygrad_rnn.inspect.gradient_reach import gradient_by_depth, gradient_by_lag
from tinygrad_rnn.inspect.gradient_to_source import gradient_to_source
from tinygrad_rnn.inspect.learning import draw_learning
from tinygrad_rnn.inspect.pixels import image
from tinygrad_rnn.inspect.skeleton import Skeleton, page_of_skeletons, picture_of_skeletons
from tinygrad_rnn.inspect.step_panels import draw_steps
from tinygrad_rnn.inspect.text_features import text_features
from tinygrad_rnn.inspect.text_page import TextPage, text_page

__all__ = [
    "Activations", "Alignment", "Chart", "Conversation", "Emphasis", "FilmStrip", "FoundCell",
    "Gaze", "Line", "Memory", "Row", "Saturation", "Skeleton", "TextPage", "activations",
    "alignment", "draw_learning", "draw_memory", "draw_saturation", "draw_steps", "emphasis",
    "find_cells", "framed", "gallery", "gaze", "gradient_by_depth", "gradient_by_lag",
    "gradient_map", "gradient_to_source", "image", "line_chart", "memory", "page_of_alignments",
    "page_of_charts", "page_of_conversations", "page_of_emphases", "page_of_films", "page_of_gazes",
    "page_of_skeletons", "picture_of_conversations", "picture_of_emphases", "picture_of_films",
    "picture_of_gazes", "picture_of_skeletons", "saturation", "text_features", "text_page",
]  # fmt: skip
